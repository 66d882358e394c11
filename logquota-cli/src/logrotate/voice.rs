//! Where messages go: standard error, and with `-l` a file or syslog besides.
//!
//! Errors and warnings are always shown, progress only with `-v`; the second place gets all of
//! them, and a file stays open in the programs that are started. Nothing here can fail: a place that cannot be written to any more is no reason to
//! leave logs unrotated.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use logquota::error::printable;
use rustix::io::{FdFlags, fcntl_setfd};

use crate::output::clean;
pub(super) use crate::programs::reason;

/// Where syslog listens.
const SYSLOG: &str = "/dev/log";

/// syslog's facility `user`.
const FACILITY_USER: u8 = 1;

/// Who speaks.
#[derive(Debug)]
pub(super) struct Voice {
    verbose: bool,
    second: Option<Second>,
}

#[derive(Debug)]
enum Second {
    File(File),
    Syslog(UnixDatagram),
}

/// syslog's severities.
#[derive(Clone, Copy)]
enum Severity {
    Error = 3,
    Warning = 4,
    Info = 6,
}

impl Voice {
    pub(super) const fn new(verbose: bool) -> Self {
        Self { verbose, second: None }
    }

    /// Sends everything to `place`, too. That it cannot be opened is said, and no more.
    pub(super) fn open(&mut self, place: &Path) {
        let opened = if place == Path::new("syslog") {
            // Without anybody who listens syslog(3) says nothing either.
            Ok(connect().map(Second::Syslog).ok())
        } else {
            File::create(place).map(|file| {
                // Scripts write there, too: it is the first that is opened, so descriptor 3.
                let _ = fcntl_setfd(&file, FdFlags::empty());
                Some(Second::File(file))
            })
        };
        match opened {
            Ok(second) => self.second = second,
            Err(error) => {
                self.error(&format!("error opening log file {}: {}", show(place), reason(&error)));
            }
        }
    }

    /// Whether anybody hears of progress. What nobody hears need not be put into words.
    pub(super) const fn is_heard(&self) -> bool {
        self.verbose || self.second.is_some()
    }

    /// Progress: one line or several, an empty one for a gap.
    pub(super) fn say(&mut self, text: &str) {
        self.put(Severity::Info, "", text);
    }

    pub(super) fn warning(&mut self, text: &str) {
        self.put(Severity::Warning, "warning: ", text);
    }

    pub(super) fn error(&mut self, text: &str) {
        self.put(Severity::Error, "error: ", text);
    }

    /// Lines that belong to an error and do not begin like one: what a program wrote.
    pub(super) fn quote(&mut self, text: &str) {
        self.put(Severity::Error, "", text);
    }

    fn put(&mut self, severity: Severity, head: &str, text: &str) {
        let is_shown = self.verbose || !matches!(severity, Severity::Info);
        if !is_shown && self.second.is_none() {
            return;
        }
        let lines: Vec<_> = text.split('\n').map(clean).collect();
        let line = format!("{head}{}\n", lines.join("\n"));
        if is_shown {
            // Standard error is the last place to complain; if it is gone, so be it.
            let _ = io::stderr().lock().write_all(line.as_bytes());
        }
        match &mut self.second {
            Some(Second::File(file)) => {
                let _ = file.write_all(line.as_bytes());
            }
            Some(Second::Syslog(socket)) => {
                for line in line.lines().filter(|line| !line.is_empty()) {
                    let _ = socket.send(datagram(severity, std::process::id(), line).as_bytes());
                }
            }
            None => {}
        }
    }
}

fn connect() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(SYSLOG)?;
    // A daemon that hangs must not hang us.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// As syslog(3) sends it, without a time: whoever receives it notes its own.
fn datagram(severity: Severity, pid: u32, line: &str) -> String {
    format!("<{}>logrotate[{pid}]: {line}", FACILITY_USER * 8 + severity as u8)
}

/// A name for people: as it is if that is harmless.
pub(super) fn show(name: impl AsRef<OsStr>) -> String {
    let name = name.as_ref();
    name.to_str().map_or_else(|| printable(name), clean)
}

/// The paths of a block as they were written, on as many lines.
pub(super) fn show_pattern(text: &OsStr) -> String {
    match text.to_str() {
        Some(text) => text.split('\n').map(clean).collect::<Vec<_>>().join("\n"),
        None => printable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_has_facility_severity_and_name() {
        assert_eq!(datagram(Severity::Error, 7, "error: x"), "<11>logrotate[7]: error: x");
        assert_eq!(datagram(Severity::Info, 7, "x"), "<14>logrotate[7]: x");
    }

    #[test]
    fn a_reason_is_the_systems_words_without_its_number() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(reason(&error), "No such file or directory");
        assert_eq!(reason(&io::Error::other("mine")), "mine");
    }

    #[test]
    fn h15_names_are_shown_as_they_are_unless_they_could_speak_to_the_terminal() {
        use std::os::unix::ffi::OsStrExt as _;
        assert_eq!(show("/var/log/a b.log"), "/var/log/a b.log");
        assert_eq!(show("a\\b"), "a\\b");
        assert_eq!(show("a\nb\x1b"), "a\\nb\\u{1b}");
        assert_eq!(show(OsStr::from_bytes(b"a\xff")), "a\\xff");
        assert_eq!(show_pattern(OsStr::new("/a\n/b\x1b")), "/a\n/b\\u{1b}");
    }
}
