//! The manual pages in `docs/man` say what the program does: logquota(8) is made from its own
//! arguments, logquota.conf(5) has every word of the language and no other.
//!
//! `LOGQUOTA_WRITE_MANUAL=1 cargo test -p logquota-tests --test manual` writes logquota(8) anew.

use std::fs;
use std::path::{Path, PathBuf};

mod conf;
mod page;
mod program;
mod typeset;

/// A file of the project.
fn file(path: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the workspace").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const PROGRAM: &str = "docs/man/logquota.8";
const CONF: &str = "docs/man/logquota.conf.5";
