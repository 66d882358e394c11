//! `--name value` and `--name`.

use std::str::FromStr;

pub(crate) struct Args(Vec<String>);

impl Args {
    pub(crate) fn of_process() -> Self {
        Args(std::env::args().skip(1).collect())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|arg| arg == name)
    }

    pub(crate) fn get<T: FromStr>(&self, name: &str) -> Option<T> {
        let at = self.0.iter().position(|arg| arg == name)?;
        let value = self.0.get(at + 1)?;
        Some(value.parse().unwrap_or_else(|_| panic!("{name} {value}: not understood")))
    }

    pub(crate) fn need<T: FromStr>(&self, name: &str) -> T {
        self.get(name).unwrap_or_else(|| panic!("{name} is missing"))
    }
}
