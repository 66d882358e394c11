//! Which machine this is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::error::printable;
use crate::plan::Host;

/// A machine id is 32 hexadecimal digits; a file that is longer is something else.
const MACHINE_ID_MAX: usize = 256;

/// This host: its name, and the content of `/etc/machine-id`, empty where it cannot be read.
#[must_use]
pub fn host() -> Host {
    let name = rustix::system::uname();
    let machine_id = super::read_small(Path::new("/etc/machine-id"), MACHINE_ID_MAX)
        .map(|bytes| String::from_utf8_lossy(bytes.trim_ascii()).into_owned())
        .unwrap_or_default();
    Host { name: printable(OsStr::from_bytes(name.nodename().to_bytes())), machine_id }
}
