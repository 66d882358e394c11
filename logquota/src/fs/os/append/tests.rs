use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use super::*;
use crate::fs::os::OsFs;
use crate::fs::{Attributes, ReadFs as _, WriteFs as _};
use crate::inventory::DirId;
use crate::stamp::Timestamp;

const MIB: u64 = 1 << 20;

/// Longer than any turn here lasts.
const PATIENCE: Duration = Duration::from_secs(60);

fn n(name: &str) -> &OsStr {
    OsStr::new(name)
}

/// A folder and its handle.
struct Scene {
    os: OsFs,
    dir: DirId,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let (os, folder) = (OsFs::new(), tempfile::tempdir().expect("a folder"));
        let dir = os.open_root(folder.path()).expect("the root");
        Self { os, dir, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn AppendFile>> {
        self.os.open_log(self.dir, n(name), None)
    }

    fn make(&self, name: &str) -> Box<dyn AppendFile> {
        let made = self.os.open_log(self.dir, n(name), Some(&Attributes::default()));
        made.expect("a new log")
    }

    fn is_held(&self, name: &str) -> bool {
        self.os.is_held(self.dir, n(name)).expect("an answer")
    }
}

fn blocks(path: &Path) -> u64 {
    fs::metadata(path).expect("a look").blocks() * 512
}

/// Where the tests run, blocks may be something that cannot be set aside.
fn is_supported(result: io::Result<()>) -> bool {
    match result {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            println!("skipped: {error}");
            false
        }
        other => {
            other.expect("it is done");
            true
        }
    }
}

#[test]
fn a_log_is_appended_to_whatever_others_do_with_it() {
    let scene = Scene::new();
    fs::write(scene.path("a.log"), "one\n").expect("a log");
    let log = scene.open("a.log").expect("a handle");
    assert_eq!(log.append(b"two\n").expect("an append"), 4);
    fs::write(scene.path("a.log"), "").expect("emptied");
    log.append(b"three\n").expect("an append");
    fs::rename(scene.path("a.log"), scene.path("a.log.1")).expect("renamed");
    log.append(b"four\n").expect("an append");
    assert_eq!(fs::read(scene.path("a.log.1")).expect("it"), b"three\nfour\n");
    assert_eq!(log.meta().expect("a look").stamp.len, 11);
    log.sync().expect("flushed");
    fs::remove_file(scene.path("a.log.1")).expect("deleted");
    assert_eq!(log.meta().expect("a look").stamp.nlink, 0);
    log.append(b"five\n").expect("an append");
}

#[test]
fn a_log_outlives_what_it_was_opened_with() {
    let scene = Scene::new();
    let log = scene.make("a.log");
    let Scene { os, folder, .. } = scene;
    drop(os);
    log.append(b"x").expect("an append");
    assert_eq!(fs::read(folder.path().join("a.log")).expect("it"), b"x");
}

#[test]
fn only_regular_files_that_exist_are_opened_and_only_new_ones_are_made() {
    let scene = Scene::new();
    fs::write(scene.path("a.log"), "").expect("a log");
    symlink("a.log", scene.path("link")).expect("a link");
    symlink("none", scene.path("broken")).expect("a link");
    fs::create_dir(scene.path("folder")).expect("a folder");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        scene.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .expect("a pipe");
    assert_eq!(scene.open("none").err().map(|e| e.kind()), Some(ErrorKind::NotFound));
    for bad in ["link", "broken", "folder", "pipe", "../a.log", ""] {
        let error = scene.open(bad).err().map(|e| e.kind());
        assert_eq!(error, Some(ErrorKind::InvalidInput), "{bad}");
    }
    for taken in ["a.log", "link", "broken", "folder", "pipe"] {
        let made = scene.os.open_log(scene.dir, n(taken), Some(&Attributes::default()));
        assert_eq!(made.err().map(|e| e.kind()), Some(ErrorKind::AlreadyExists), "{taken}");
    }
    assert!(!scene.path("none").exists());
}

#[test]
fn a_new_log_gets_its_attributes_or_does_not_stay() {
    let scene = Scene::new();
    let mode =
        |name: &str| fs::metadata(scene.path(name)).expect("a look").permissions().mode() & 0o7777;
    scene.make("narrow.log");
    assert_eq!(mode("narrow.log"), 0o600);
    let wide = Attributes { mode: Some(0o664), ..Attributes::default() };
    let log = scene.os.open_log(scene.dir, n("wide.log"), Some(&wide)).expect("a log");
    assert_eq!(mode("wide.log"), 0o664);
    log.append(b"a").expect("an append");
    log.append(b"b").expect("an append");
    assert_eq!(fs::read(scene.path("wide.log")).expect("it"), b"ab");
    // Nobody is -1.
    let nobody = Attributes { owner: Some((u32::MAX, u32::MAX)), ..Attributes::default() };
    assert!(scene.os.open_log(scene.dir, n("bad.log"), Some(&nobody)).is_err());
    assert!(!scene.path("bad.log").exists());
}

#[test]
fn what_is_reserved_is_allocated_and_given_back_by_trimming() {
    let scene = Scene::new();
    let log = scene.make("a.log");
    log.append(b"hello\n").expect("an append");
    log.reserve(Bytes::ZERO).expect("nothing");
    if !is_supported(log.reserve(Bytes::mib(1))) {
        return;
    }
    let stamp = log.meta().expect("a look").stamp;
    assert!(stamp.len == 6 && stamp.allocated >= Bytes::mib(1), "{stamp:?}");
    log.append(b"world\n").expect("an append");
    assert_eq!(fs::read(scene.path("a.log")).expect("it"), b"hello\nworld\n");
    // Less than there is changes nothing.
    log.reserve(Bytes::new(1)).expect("nothing");
    assert!(blocks(&scene.path("a.log")) >= MIB);
    log.trim().expect("trimmed");
    assert!(blocks(&scene.path("a.log")) <= 64 << 10, "{}", blocks(&scene.path("a.log")));
    assert_eq!(fs::read(scene.path("a.log")).expect("it"), b"hello\nworld\n");
    let too_much = log.reserve(Bytes::MAX).map_err(|error| error.kind());
    assert!(too_much.is_err(), "{too_much:?}");
}

#[test]
fn a_half_written_record_is_cut_off_and_a_log_never_becomes_longer_by_that() {
    let scene = Scene::new();
    let log = scene.make("a.log");
    log.append(b"one\ntw").expect("an append");
    assert_eq!(log.cut(7).map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    log.cut(6).expect("nothing to do");
    log.cut(4).expect("cut");
    log.append(b"two\n").expect("an append");
    assert_eq!(fs::read(scene.path("a.log")).expect("it"), b"one\ntwo\n");
}

#[test]
fn one_holds_a_log_alone_or_several_do_together() {
    let scene = Scene::new();
    let (a, b) = (scene.make("a.log"), scene.open("a.log").expect("a second"));
    assert!(!scene.is_held("a.log"));
    assert!(a.hold(Hold::Alone).expect("an answer"));
    assert!(a.hold(Hold::Alone).expect("an answer"), "it is ours already");
    assert!(!b.hold(Hold::Alone).expect("an answer"));
    assert!(!b.hold(Hold::Together).expect("an answer"));
    assert!(scene.is_held("a.log"));
    assert!(a.hold(Hold::Together).expect("an answer"));
    assert!(b.hold(Hold::Together).expect("an answer"));
    assert!(scene.is_held("a.log"));
    assert!(!a.hold(Hold::Alone).expect("an answer"), "b is there, too");
    assert!(!b.hold(Hold::Alone).expect("an answer"), "a is still");
    drop(a);
    assert!(scene.is_held("a.log"));
    assert!(b.hold(Hold::Alone).expect("an answer"));
    drop(b);
    assert!(!scene.is_held("a.log"));
}

#[test]
fn hundreds_hold_a_log_together_in_any_order() {
    let scene = Scene::new();
    drop(scene.make("a.log"));
    let mut logs: Vec<_> = (0..200).map(|_| scene.open("a.log").expect("a handle")).collect();
    for log in logs.iter().chain(logs.iter().rev()) {
        assert!(log.hold(Hold::Together).expect("an answer"));
    }
    while let Some(last) = logs.pop() {
        assert_eq!(last.hold(Hold::Alone).expect("an answer"), logs.is_empty());
        // From the middle, so that the free ones are anywhere.
        if logs.len() > 2 {
            drop(logs.swap_remove(logs.len() / 2));
        }
    }
    assert!(!scene.is_held("a.log"));
}

/// CVE-2022-1348 was that: a lock that everybody could take.
#[test]
fn h34_who_may_only_read_a_log_cannot_hold_it() {
    let scene = Scene::new();
    let log = scene.make("a.log");
    let reader = fs::File::open(scene.path("a.log")).expect("a reader");
    fs2::FileExt::try_lock_exclusive(&reader).expect("a lock");
    let lock = range(libc::F_RDLCK, 0, 0).expect("a lock");
    fcntl(&reader, FcntlArg::F_OFD_SETLK(&lock)).expect("a lock");
    let lock = range(libc::F_WRLCK, 0, 0).expect("a lock");
    assert!(fcntl(&reader, FcntlArg::F_OFD_SETLK(&lock)).is_err());
    assert!(!scene.is_held("a.log"));
    assert!(!log.hold(Hold::Together).expect("an answer"), "but it is in the way");
}

#[test]
fn who_locks_the_whole_log_for_writing_holds_it() {
    let scene = Scene::new();
    let log = scene.make("a.log");
    let other = fs::OpenOptions::new().write(true).open(scene.path("a.log")).expect("a writer");
    let lock = range(libc::F_WRLCK, 0, 0).expect("a lock");
    fcntl(&other, FcntlArg::F_OFD_SETLK(&lock)).expect("a lock");
    assert!(scene.is_held("a.log"));
    for hold in [Hold::Alone, Hold::Together] {
        assert!(!log.hold(hold).expect("an answer"));
    }
}

#[test]
fn to_ask_whether_a_log_is_held_leaves_no_lock_behind() {
    let scene = Scene::new();
    let log = scene.make("a.log");
    for hold in [Hold::Alone, Hold::Together] {
        for _ in 0..100 {
            let other = scene.open("a.log").expect("a handle");
            assert!(!scene.is_held("a.log"));
            assert!(other.hold(hold).expect("an answer"));
            assert!(scene.is_held("a.log"));
        }
    }
    // A turn is no hold.
    assert!(log.begin_turn(PATIENCE).expect("a turn"));
    assert!(!scene.is_held("a.log"));
    let error = |name: &str| scene.os.is_held(scene.dir, n(name)).map_err(|e| e.kind());
    assert_eq!(error("none"), Err(ErrorKind::NotFound));
    symlink("a.log", scene.path("link")).expect("a link");
    assert_eq!(error("link"), Err(ErrorKind::InvalidInput));
}

#[test]
fn a_log_is_held_under_whatever_name_it_has() {
    let scene = Scene::new();
    let log = scene.make("a.log");
    assert!(log.hold(Hold::Together).expect("an answer"));
    fs::rename(scene.path("a.log"), scene.path("a.log.1")).expect("renamed");
    fs::write(scene.path("a.log"), "").expect("a new one");
    assert!(scene.is_held("a.log.1") && !scene.is_held("a.log"));
}

/// Two writers, each with its own open file, append records in two halves.
#[test]
fn in_turns_no_record_is_torn() {
    const RECORDS: u32 = 500;
    let scene = Scene::new();
    drop(scene.make("a.log"));
    std::thread::scope(|scope| {
        for writer in ["a", "b", "c"] {
            let log = scene.open("a.log").expect("a handle");
            scope.spawn(move || {
                for number in 0..RECORDS {
                    assert!(log.begin_turn(PATIENCE).expect("a turn"));
                    log.append(format!("{writer}{number}").as_bytes()).expect("a half");
                    log.append(b" ok\n").expect("a half");
                    log.end_turn().expect("given back");
                }
            });
        }
    });
    let text = fs::read_to_string(scene.path("a.log")).expect("it");
    let expected = |writer: &str| -> Vec<String> {
        (0..RECORDS).map(|number| format!("{writer}{number} ok")).collect()
    };
    for writer in ["a", "b", "c"] {
        let found: Vec<_> = text.lines().filter(|line| line.starts_with(writer)).collect();
        assert_eq!(found, expected(writer));
    }
    assert_eq!(text.lines().count(), 3 * 500);
}

#[test]
fn a_turn_ends_with_the_open_file() {
    let scene = Scene::new();
    let (a, b) = (scene.make("a.log"), scene.open("a.log").expect("a second"));
    assert!(a.begin_turn(PATIENCE).expect("a turn"));
    // To take it twice is to have it once.
    assert!(a.begin_turn(PATIENCE).expect("a turn"));
    b.end_turn().expect("not ours, and no harm");
    let (begun, has_begun) = mpsc::channel();
    let (told, done) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let _ = begun.send(());
        assert!(b.begin_turn(PATIENCE).expect("a turn"));
        let _ = told.send(());
    });
    has_begun.recv().expect("it waits");
    assert!(done.try_recv().is_err());
    drop(a);
    done.recv().expect("its turn");
    waiter.join().expect("the end");
}

#[test]
fn h36_a_turn_that_is_not_given_back_is_not_waited_for_any_longer() {
    let scene = Scene::new();
    let (a, b) = (scene.make("a.log"), scene.open("a.log").expect("a second"));
    assert!(a.begin_turn(Duration::ZERO).expect("a turn"));
    assert!(!b.begin_turn(Duration::ZERO).expect("an answer"));
    assert!(!b.begin_turn(Duration::from_millis(2)).expect("an answer"));
    a.end_turn().expect("given back");
    assert!(b.begin_turn(Duration::ZERO).expect("a turn"));
}

#[test]
fn hold_and_turn_know_nothing_of_each_other() {
    let scene = Scene::new();
    let (a, b) = (scene.make("a.log"), scene.open("a.log").expect("a second"));
    assert!(a.hold(Hold::Together).expect("an answer"));
    assert!(b.begin_turn(PATIENCE).expect("a turn"));
    assert!(b.hold(Hold::Together).expect("an answer"));
    b.end_turn().expect("given back");
    assert!(!a.hold(Hold::Alone).expect("an answer"));
}

#[test]
fn a_new_file_gives_back_what_it_did_not_use_and_keeps_its_times() {
    let scene = Scene::new();
    let mut file = scene.os.create(scene.dir, n("new")).expect("a file");
    if !is_supported(file.reserve(Bytes::mib(1))) {
        return;
    }
    file.write_all(&[b'x'; 5000]).expect("content");
    assert!(file.meta().expect("a look").stamp.allocated >= Bytes::mib(1));
    let then = Timestamp { secs: 1_000_000_000, nanos: 7 };
    let attributes = Attributes { times: Some((then, then)), ..Attributes::default() };
    file.set_attributes(&attributes).expect("its times");
    file.sync().expect("flushed");
    let meta = file.meta().expect("a look");
    assert_eq!((meta.stamp.len, meta.stamp.mtime), (5000, then));
    assert!(meta.stamp.allocated <= Bytes::kib(64), "{meta:?}");

    let mut other = scene.os.create(scene.dir, n("other")).expect("a file");
    other.reserve(Bytes::mib(1)).expect("room");
    other.skip(100).expect("a hole");
    other.sync().expect("flushed");
    let meta = other.meta().expect("a look");
    assert!(meta.stamp.len == 100 && meta.stamp.allocated <= Bytes::kib(64), "{meta:?}");
}

#[test]
fn a_link_is_made_to_a_neighbour_and_replaces_nothing() {
    let scene = Scene::new();
    let link = |name: &str, target: &str| {
        scene.os.link_to(scene.dir, n(name), n(target)).map_err(|error| error.kind())
    };
    assert_eq!(link("latest", "a.log"), Ok(()));
    assert_eq!(fs::read_link(scene.path("latest")).expect("a link"), Path::new("a.log"));
    assert_eq!(link("latest", "b.log"), Err(ErrorKind::AlreadyExists));
    for (name, target) in [("x", "../a"), ("x", "/etc/passwd"), ("x", ""), ("a/b", "c")] {
        assert_eq!(link(name, target), Err(ErrorKind::InvalidInput), "{name} {target}");
    }
    assert_eq!(fs::read_dir(scene.folder.path()).expect("a listing").count(), 1);
}

/// What nobody can reach any more still takes room for as long as somebody writes to it.
#[test]
fn h45_a_log_that_was_unlinked_can_still_be_emptied_by_who_has_it_open() {
    let scene = Scene::new();
    let log = scene.make("a.log");
    for _ in 0..16 {
        log.append(&vec![b'x'; 64 << 10]).expect("an append");
    }
    fs::remove_file(scene.path("a.log")).expect("deleted");
    let stamp = log.meta().expect("a look").stamp;
    assert_eq!((stamp.nlink, stamp.len), (0, MIB));
    log.cut(0).expect("emptied");
    assert_eq!(log.meta().expect("a look").stamp.allocated, Bytes::ZERO);
}
