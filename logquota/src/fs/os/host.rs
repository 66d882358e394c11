//! Which machine this is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::error::printable;
use crate::plan::Host;

/// A machine id is 32 hexadecimal digits, the id of a boot 36 characters; a file that is longer is
/// something else.
const ID_MAX: usize = 256;

/// This host: its name, the content of `/etc/machine-id`, and the id that the kernel gave to this
/// boot; both empty where they cannot be read.
#[must_use]
pub fn host() -> Host {
    let name = rustix::system::uname();
    let small = |path: &str| {
        super::read_small(Path::new(path), ID_MAX)
            .map(|bytes| String::from_utf8_lossy(bytes.trim_ascii()).into_owned())
            .unwrap_or_default()
    };
    let machine_id = small("/etc/machine-id");
    let boot_id = small("/proc/sys/kernel/random/boot_id");
    let name = printable(OsStr::from_bytes(name.nodename().to_bytes()));
    Host { name, machine_id, boot_id, disk: None }
}
