//! Which files of an included folder are passed over: those that editors and package managers
//! leave behind.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::diagnostic::Fault;
use super::glob;
use super::parse::Statement;
use super::words;

/// One list of patterns for whole names; `tabooext` and `taboopat` share it.
#[derive(Clone, Debug)]
pub(super) struct Taboo(Vec<Vec<u8>>);

/// Endings that are passed over when nothing is said.
const ENDINGS: &[&str] = &[
    ",v",
    ".bak",
    ".cfsaved",
    ".disabled",
    ".dpkg-bak",
    ".dpkg-del",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-old",
    ".dpkg-tmp",
    ".new",
    ".old",
    ".orig",
    ".pacnew",
    ".pacorig",
    ".pacsave",
    ".rhn-cfg-tmp-*",
    ".rpmnew",
    ".rpmorig",
    ".rpmsave",
    ".swp",
    ".ucf-dist",
    ".ucf-new",
    ".ucf-old",
    "~",
];

impl Default for Taboo {
    fn default() -> Self {
        Self(ENDINGS.iter().map(|ending| format!("*{ending}").into_bytes()).collect())
    }
}

impl Taboo {
    /// Whether the name is passed over.
    pub(super) fn has(&self, name: &OsStr) -> bool {
        self.hit(name).is_some()
    }

    /// The pattern because of which it is.
    pub(super) fn hit(&self, name: &OsStr) -> Option<&[u8]> {
        let mut patterns = self.0.iter();
        patterns.find(|pattern| glob::matches(pattern, name.as_bytes())).map(Vec::as_slice)
    }

    /// Replaces the list, or with a leading `+` adds to it.
    pub(super) fn change(&mut self, statement: &Statement<'_>, whole: bool) -> Result<(), Fault> {
        let name = statement.directive.name();
        if statement.value.is_empty() {
            let message = format!("`{name}` needs a value");
            return Err(Fault::new(statement.value_pos, message, "write a list behind it"));
        }
        let list = match statement.value.strip_prefix(b"+") {
            Some(more) => more,
            None => {
                self.0.clear();
                statement.value
            }
        };
        for item in list.split(|b| *b == b',' || words::is_space(*b)) {
            if item.is_empty() {
                continue;
            }
            let mut pattern = if whole { Vec::new() } else { vec![b'*'] };
            pattern.extend_from_slice(item);
            self.0.push(pattern);
        }
        Ok(())
    }
}
