//! The state file as logrotate keeps it: locked itself, read, and written anew by every run.
//!
//! What a run decides depends on it as in logrotate: a log that has no entry gets the hour that
//! has begun and is not due by time, whatever its archives say.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;
use logquota::fs::os::{read_small, replace_file};
use logquota::logrotate::State as Entries;
use logquota::logrotate::state::{StateError, first_seen, is_forgettable};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::args::Lock;
use super::voice::{Voice, reason, show};
use crate::state::{STATE_LEN_MAX, STATE_MODE};

/// As a state file: none, neither locked nor read nor written.
const NOWHERE: &str = "/dev/null";

/// The right of others to read.
const OTHERS_READ: u32 = 0o004;

/// When each log was rotated last, and the file that says so.
#[derive(Debug)]
pub(super) struct State {
    path: PathBuf,
    entries: Entries,
    is_damaged: bool,
    /// Given back when the run ends.
    _lock: Option<OwnedFd>,
}

/// Why there is no run at all, which has been said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// What a run saw of one log.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: PathBuf,
    /// Whether the work on it began, because it is due.
    pub(super) is_begun: bool,
    /// Whether there is a file of this name, of whatever kind.
    pub(super) is_there: bool,
}

impl State {
    /// Locks and reads it, for a run.
    pub(super) fn open(path: &Path, lock: Lock, voice: &mut Voice) -> Result<Self, Refused> {
        let held = if path == Path::new(NOWHERE) { None } else { take(path, lock, voice)? };
        Ok(Self { _lock: held, ..Self::read(path, voice) })
    }

    /// Reads it, for a look: a missing one is fine.
    pub(super) fn read(path: &Path, voice: &mut Voice) -> Self {
        voice.say(&format!("Reading state from file: {}", show(path)));
        let path = path.to_owned();
        let none = Self { path, entries: Entries::default(), is_damaged: false, _lock: None };
        if none.is_nowhere() {
            return none;
        }
        match read_small(&none.path, STATE_LEN_MAX) {
            Ok(text) => {
                let (entries, wrong) = Entries::parse(&text);
                if let Some(wrong) = &wrong {
                    voice.error(&complaint(wrong, &none.path));
                }
                Self { entries, is_damaged: wrong.is_some(), ..none }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                voice.say(&format!("state file {} does not exist", show(&none.path)));
                none
            }
            Err(error) => {
                let file = show(&none.path);
                voice.error(&format!("error opening state file {file}: {}", reason(&error)));
                Self { is_damaged: true, ..none }
            }
        }
    }

    fn is_nowhere(&self) -> bool {
        self.path == Path::new(NOWHERE)
    }

    /// Whether something of it is lost.
    pub(super) const fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Whether it has no entry for this log.
    pub(super) fn is_new(&self, log: &Path) -> bool {
        self.entries.get(log).is_none()
    }

    /// When this log was rotated last. One that is seen first was at the beginning of this hour.
    pub(super) fn last_rotated(&self, log: &Path, now: NaiveDateTime) -> NaiveDateTime {
        self.entries.get(log).unwrap_or_else(|| first_seen(now))
    }

    /// Notes what a run saw and did at `now`.
    pub(super) fn note(&mut self, seen: impl IntoIterator<Item = Seen>, now: NaiveDateTime) {
        let mut found: HashSet<OsString> = HashSet::new();
        for log in seen {
            let name = log.path.into_os_string();
            let known = self.entries.get(&name);
            if log.is_begun {
                self.entries.set(name, now);
            } else if known.is_none() {
                self.entries.set(name, first_seen(now));
            } else if log.is_there && known.is_some_and(|at| is_forgettable(now, at)) {
                // Only these would go; a list of all is as large as the state.
                found.insert(name);
            }
        }
        self.entries.prune(now, |name: &OsStr| found.contains(name));
    }

    /// Writes it whole, or leaves the old one and says why. Also without news: when it was
    /// written says when a run was last, and monitors look at that.
    pub(super) fn write(&self, voice: &mut Voice) -> bool {
        if self.is_nowhere() {
            return true;
        }
        let file = show(&self.path);
        // A link to a file is replaced; a device or pipe is not, by whatever name.
        if self.path.metadata().is_ok_and(|found| !found.is_file()) {
            voice.error(&format!("not writing state to {file}: it is not a regular file"));
            return false;
        }
        match replace_file(&self.path, &self.entries.format(), STATE_MODE) {
            Ok(()) => true,
            Err(error) => {
                voice.error(&format!("error writing state file {file}: {}", reason(&error)));
                false
            }
        }
    }
}

fn complaint(wrong: &StateError, path: &Path) -> String {
    let file = show(path);
    match wrong {
        StateError::TopLine => format!("bad top line in state file {file}"),
        StateError::Torn { line } => format!("line {line} too long in state file {file}"),
        StateError::Line { line } => format!("bad line {line} in state file {file}"),
        StateError::Date { part, found, name, .. } => {
            format!("bad {part} {found} for file {} in state file {file}", show(name))
        }
        other => format!("{other} {file}"),
    }
}

/// Opens the state file, makes it if it is missing, and locks it.
fn take(path: &Path, lock: Lock, voice: &mut Voice) -> Result<Option<OwnedFd>, Refused> {
    let file = show(path);
    // Each turn but the last one takes somebody else a whole run.
    loop {
        let opened = open_or_make(path, voice)?;
        if !is_locked(&opened, path, lock, voice)? {
            return Ok(None);
        }
        // Who had the lock has written a new file, and perhaps others are at work with that: a
        // lock on the old one keeps nobody away.
        if is_at(&opened, path) {
            voice.say(&format!("acquired lock on state file {file}"));
            return Ok(Some(opened.into()));
        }
    }
}

fn open_or_make(path: &Path, voice: &mut Voice) -> Result<File, Refused> {
    let opened = match open(path, OFlags::empty()) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            voice.say(&format!("Creating stub state file: {}", show(path)));
            // Never through a link that leads to nothing. If somebody else has just made it, it
            // can be opened now.
            open(path, OFlags::CREATE | OFlags::EXCL)
                .or_else(|error| open(path, OFlags::empty()).map_err(|_| error))
                .map_err(|error| ("creating stub", error))
        }
        other => other.map_err(|error| ("opening", error)),
    };
    opened.map_err(|(what, error)| refused(what, path, &error, voice))
}

fn refused(what: &str, path: &Path, error: &io::Error, voice: &mut Voice) -> Refused {
    voice.error(&format!("error {what} state file {}: {}", show(path), reason(error)));
    Refused
}

/// Whether this is still what the path names.
fn is_at(opened: &File, path: &Path) -> bool {
    let id = |meta: &std::fs::Metadata| (meta.dev(), meta.ino());
    matches!((opened.metadata(), path.metadata()), (Ok(a), Ok(b)) if id(&a) == id(&b))
}

/// Locks the file, if it is to be locked; says whether it is.
fn is_locked(opened: &File, path: &Path, lock: Lock, voice: &mut Voice) -> Result<bool, Refused> {
    let file = show(path);
    if lock == Lock::Skip {
        voice.say(&format!("Skip locking state file {file}"));
        return Ok(false);
    }
    let meta = opened.metadata().map_err(|error| refused("opening", path, &error, voice))?;
    if meta.mode() & OTHERS_READ != 0 {
        voice.warning(&format!(
            "state file {file} is world-readable and thus can be locked from other unprivileged \
             users. Skipping lock acquisition..."
        ));
        return Ok(false);
    }
    // Nobody writes to such a thing, so there is nothing to keep apart.
    if meta.file_type().is_fifo() || meta.file_type().is_char_device() {
        return Ok(false);
    }
    let operation = match lock {
        Lock::Wait => FlockOperation::LockExclusive,
        _ => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        match flock(opened, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => {
                voice.error(&format!(
                    "state file {file} is already locked\nlogrotate does not support parallel \
                     execution on the same set of logfiles."
                ));
                return Err(Refused);
            }
            Err(error) => return Err(refused("locking", path, &error.into(), voice)),
        }
    }
}

/// Never waits for the other end of a pipe.
fn open(path: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | more;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    File::options().read(true).write(true).mode(STATE_MODE).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").expect(text)
    }

    fn now() -> NaiveDateTime {
        at("2026-11-21 18:41:36")
    }

    fn seen(path: &str, is_begun: bool, is_there: bool) -> Seen {
        Seen { path: path.into(), is_begun, is_there }
    }

    fn open(path: &Path, lock: Lock) -> Result<State, Refused> {
        State::open(path, lock, &mut Voice::new(false))
    }

    /// What the file says after a run that saw these.
    fn after(before: &str, logs: impl IntoIterator<Item = Seen>) -> String {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("status");
        fs::write(&path, format!("logrotate state -- version 2\n{before}")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        let mut state = open(&path, Lock::Try).expect("not locked");
        state.note(logs, now());
        assert!(state.write(&mut Voice::new(false)));
        let text = fs::read_to_string(&path).expect("there");
        text.strip_prefix("logrotate state -- version 2\n").expect("the header").to_owned()
    }

    #[test]
    fn a_name_that_is_seen_first_gets_the_hour_whether_it_exists_or_not() {
        let logs = [seen("/a", false, true), seen("/x*.log", false, false)];
        assert_eq!(after("", logs), "\"/a\" 2026-11-21-18:0:0\n\"/x*.log\" 2026-11-21-18:0:0\n");
    }

    #[test]
    fn a_log_whose_work_began_gets_the_time_and_the_others_keep_theirs() {
        let logs = [seen("/a", true, true), seen("/b", false, true)];
        let before = "\"/a\" 2026-1-1-0:0:0\n\"/b\" 2026-1-2\n";
        assert_eq!(after(before, logs), "\"/a\" 2026-11-21-18:41:36\n\"/b\" 2026-1-2-0:0:0\n");
    }

    #[test]
    fn old_entries_go_unless_their_log_was_found() {
        let old =
            "\"/found\" 2000-1-1\n\"/gone\" 2000-1-1\n\"/missing\" 2000-1-1\n\"/new\" 2026-1-1\n";
        let logs = [seen("/found", false, true), seen("/missing", false, false)];
        assert_eq!(after(old, logs), "\"/found\" 2000-1-1-0:0:0\n\"/new\" 2026-1-1-0:0:0\n");
    }

    #[test]
    fn names_are_text_and_of_two_lines_the_later_wins() {
        let before = "\"/a\" 2026-1-1\n\"/a\" 2026-1-2\n";
        assert_eq!(
            after(before, [seen("//a", false, true)]),
            "\"//a\" 2026-11-21-18:0:0\n\"/a\" 2026-1-2-0:0:0\n"
        );
    }

    #[test]
    fn each_kind_of_damage_is_said_in_logrotates_words() {
        let top = "logrotate state -- version 2\n";
        for (text, says) in [
            ("logrotate state -- version 3\n".to_owned(), "bad top line in state file F"),
            (format!("{top}\n/a 2026-1-1\nx y z\n"), "bad line 4 in state file F"),
            (format!("{top}/a 2026-1-1"), "line 2 too long in state file F"),
            (format!("{top}/a 2026-13-1\n"), "bad month 13 for file /a in state file F"),
        ] {
            let wrong = Entries::parse(text.as_bytes()).1.expect(says);
            assert_eq!(complaint(&wrong, Path::new("F")), says);
        }
    }

    #[test]
    fn what_stands_behind_a_bad_line_is_lost_and_the_rest_is_used() {
        let before = "\"/a\" 2026-1-1\nbad\n\"/b\" 2026-1-1\n";
        assert_eq!(after(before, []), "\"/a\" 2026-1-1-0:0:0\n");
    }

    #[test]
    fn a_missing_file_is_made_before_it_is_locked_and_others_never_may_read_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("status");
        let mode = || fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        let state = open(&path, Lock::Try).expect("made");
        assert_eq!((state.is_damaged(), mode() & 0o007), (false, 0));
        drop(state);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).expect("set");
        assert!(open(&path, Lock::Try).expect("not locked").write(&mut Voice::new(false)));
        assert_eq!(mode(), 0o660);
    }

    #[test]
    fn h35_a_lock_that_is_held_refuses_unless_none_is_wanted_or_others_may_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("status");
        let held = open(&path, Lock::Try).expect("free");
        assert_eq!(open(&path, Lock::Try).err(), Some(Refused));
        assert!(open(&path, Lock::Skip).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        assert!(open(&path, Lock::Try).is_ok(), "anybody could hold that one");
        drop(held);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        assert!(open(&path, Lock::Wait).is_ok());
    }

    #[test]
    fn what_cannot_be_made_or_opened_refuses() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(open(&dir.path().join("no/status"), Lock::Try).err(), Some(Refused));
        assert_eq!(open(dir.path(), Lock::Try).err(), Some(Refused));
        assert_eq!(open(Path::new(""), Lock::Try).err(), Some(Refused));
        // Who only looks is not refused.
        let look = State::read(&dir.path().join("no/status"), &mut Voice::new(false));
        assert!(!look.is_damaged());
    }

    #[test]
    fn a_link_is_replaced_and_a_pipe_is_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        fs::write(&target, "").expect("written");
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).expect("set");
        symlink(&target, &link).expect("a link");
        assert!(open(&link, Lock::Try).expect("free").write(&mut Voice::new(false)));
        assert!(link.symlink_metadata().expect("there").is_file());
        assert_eq!(fs::read(&target).expect("there"), b"");
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .expect("a pipe");
        let state = open(&pipe, Lock::Try).expect("nothing to lock");
        assert!(state.is_damaged() && !state.write(&mut Voice::new(false)));
        assert!(pipe.symlink_metadata().expect("there").file_type().is_fifo());
    }

    #[test]
    fn dev_null_is_no_state_file() {
        let mut state = open(Path::new(NOWHERE), Lock::Try).expect("nothing to lock");
        state.note([seen("/a", true, true)], now());
        assert!(!state.is_damaged() && state.write(&mut Voice::new(false)));
        assert_eq!(state.last_rotated(Path::new("/b"), now()), at("2026-11-21 18:00:00"));
        assert!(state.is_new(Path::new("/b")) && !state.is_new(Path::new("/a")));
    }
}
