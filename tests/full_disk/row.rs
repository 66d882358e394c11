//! One full disk: `free` shows, `free --apply` does, `run` does, and the writer goes on.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use logquota_tests::mounts::{Mount, needs};

use crate::kit::{self, HOUR, code, host, is_long, json, listing, logquota, said};
use crate::writer::{RECORD, Writer, assert_sequence};

const MIB: u64 = 1 << 20;

/// What is wanted of `free`, and the quota of the logs.
const ROOM: u64 = 4 * MIB;

/// What ext4 may need to keep track of a log that was cut, once it was: a block.
const TRACKING: u64 = 1 << 10;

/// Seconds by which the clock of a file system may be behind.
const CLOCK_BEHIND: i64 = 1;

/// Files of the logs that may be there.
const FILES: u64 = 20;

/// The last of what it is full of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Block,
    Inode,
}

/// What fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Archives,
    Log,
    Others,
}

/// A file system by its name, the program that makes it, and how.
pub(crate) type Disk = (&'static str, &'static str, fn(Full) -> Mount);

/// Btrfs has no limit of inodes.
pub(crate) const DISKS: [Disk; 6] = [
    ("ext4", "mkfs.ext4", |_| ext4(&["-I", "256", "-N", "96"])),
    ("ext4, small inodes", "mkfs.ext4", |_| ext4(&["-I", "128", "-N", "96"])),
    ("xfs", "mkfs.xfs", |full| {
        let few = if full == Full::Inode { "maxpct=1,size=2048" } else { "maxpct=25" };
        Mount::image("mkfs.xfs", &["-q", "-f", "-i", few], 320, "")
    }),
    ("btrfs", "mkfs.btrfs", |_| Mount::image("mkfs.btrfs", &["-q", "-f"], 256, "")),
    ("btrfs, mixed", "mkfs.btrfs", |_| Mount::image("mkfs.btrfs", &["-q", "-f", "-M"], 64, "")),
    ("tmpfs", "mount", |_| Mount::tmpfs("size=32m,mode=0755,nr_inodes=96")),
];

fn ext4(args: &[&str]) -> Mount {
    Mount::ext4(32, args, "")
}

/// All rows of the table that can be made here.
pub(crate) fn all() -> impl Iterator<Item = Row> {
    let disks = DISKS.into_iter().filter(|(_, tool, _)| !needs(&[tool]));
    disks.flat_map(|disk| {
        let fulls = [Full::Block, Full::Inode].into_iter();
        let fulls = fulls.filter(move |full| *full == Full::Block || !disk.0.starts_with("btrfs"));
        fulls.flat_map(move |full| {
            [By::Archives, By::Log, By::Others].map(|by| Row { disk, full, by })
        })
    })
}

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) disk: Disk,
    pub(crate) full: Full,
    pub(crate) by: By,
}

/// When the writer had room again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GoesOn {
    Always,
    AfterFree,
    AfterRun,
    AfterOthers,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Exit codes.
    pub(crate) shown: i32,
    pub(crate) applied: i32,
    pub(crate) run: i32,
    /// Bytes more, by the file system.
    pub(crate) freed: i64,
    /// Bytes that runs cut off the head of the log.
    pub(crate) cut: u64,
    /// Whether a file can be made after the first run.
    pub(crate) has_file: bool,
    pub(crate) goes_on: GoesOn,
}

/// A disk with logs, full, and a writer.
struct Scene<'a> {
    row: &'a Row,
    mount: Mount,
    /// Not on the disk.
    elsewhere: tempfile::TempDir,
    writer: Writer,
    /// Bytes that were cut off.
    cut: Cell<u64>,
}

impl Row {
    pub(crate) fn about(&self) -> String {
        format!("{}, {:?}, {:?}", self.disk.0, self.full, self.by)
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let mut scene = Scene::new(self);
        scene.fill();
        let is_held_up = !scene.writer.has_room();
        assert_eq!(is_held_up, self.full == Full::Block, "{}", self.about());
        scene.settle();
        let (shown, applied, freed) = scene.free();
        let mut goes_on = [(!is_held_up, GoesOn::Always)].to_vec();
        goes_on.push((scene.writer.has_room(), GoesOn::AfterFree));
        scene.fill();
        let (run, _) = scene.run();
        let has_file = scene.has_room_for_a_file();
        goes_on.push((scene.writer.has_room(), GoesOn::AfterRun));
        if !goes_on.iter().any(|(has_room, _)| *has_room) {
            fs::remove_dir_all(scene.mount.at().join("others")).expect("others give room");
        }
        scene.flood();
        let first = goes_on.into_iter().find(|(has_room, _)| *has_room);
        let goes_on = first.map_or(GoesOn::AfterOthers, |(_, when)| when);
        Outcome { shown, applied, run, freed, cut: scene.cut.get(), has_file, goes_on }
    }
}

impl<'a> Scene<'a> {
    fn new(row: &'a Row) -> Self {
        let mount = (row.disk.2)(row.full);
        let elsewhere = tempfile::tempdir().expect("a folder");
        let dir = mount.folder("log");
        let (archives, kib) = match (row.by, row.full) {
            (By::Archives, Full::Block) => (12, 1024),
            (By::Archives, Full::Inode) => (40, 8),
            _ => (0, 0),
        };
        for number in 1..=archives {
            let path = dir.join(format!("app.log.{number}"));
            kit::file(&path, &vec![b'a'; kib << 10], HOUR * number);
        }
        let mut writer = Writer::new(&dir.join("app.log"));
        let len = if row.by == By::Log { 12 * MIB } else { MIB };
        writer.fill(len / RECORD as u64);
        let scene = Self { row, mount, elsewhere, writer, cut: Cell::new(0) };
        let text = format!(
            "{}/*.log {{\n monthly\n rotate 99\n maxfiles {FILES}\n quota 4M\n livetrim\n}}\n",
            scene.dir().display()
        );
        kit::file(&scene.config(), text.as_bytes(), HOUR);
        scene
    }

    fn dir(&self) -> PathBuf {
        self.mount.at().join("log")
    }

    fn config(&self) -> PathBuf {
        self.elsewhere.path().join("logquota.conf")
    }

    fn fill(&self) {
        match self.row.full {
            Full::Block => self.mount.fill_to_the_last_block(),
            Full::Inode => self.mount.fill_to_the_last_inode(),
        }
        assert!(!self.has_room_for_a_file(), "{}: it is not full", self.row.about());
    }

    fn has_room_for_a_file(&self) -> bool {
        let path = self.mount.at().join("one-more");
        let is_made = fs::write(&path, [1; 4096]).is_ok();
        let _ = fs::remove_file(&path);
        is_made
    }

    /// With small inodes times are whole seconds, and a plan waits for the next one.
    fn settle(&self) {
        let changed = |path: PathBuf| path.metadata().map_or(0, |meta| meta.ctime());
        let last = fs::read_dir(self.dir()).expect("a folder");
        let last = last.map(|entry| changed(entry.expect("an entry").path())).max();
        while self.row.disk.0.ends_with("small inodes") && Some(kit::now() - CLOCK_BEHIND) <= last {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Exit codes of `free` and of its `--apply`, and what the file system has got back.
    fn free(&self) -> (i32, i32, i64) {
        let config = self.config();
        let config = config.to_str().expect("UTF-8");
        let call = ["free", "4M", "--json", "--config", config];
        let before = listing(&self.dir());
        let shown = logquota(call);
        assert_eq!(before, listing(&self.dir()), "{}", said(&shown));
        // Where nothing can go there is no id, and then this does nothing either.
        let host = host();
        let id = json(&shown)["free"]["apply_id"].as_str().map(ToOwned::to_owned);
        let how = id.as_ref().map_or(["--yes", "--host", &host], |id| ["--host", &host, id]);
        let how = how.into_iter().flat_map(|word| {
            let is_id = id.as_deref() == Some(word);
            is_id.then_some("--apply").into_iter().chain([word])
        });
        let applied = logquota(call.into_iter().chain(how));
        let freed = json(&applied)["freed"].as_i64();
        let freed = freed.unwrap_or_else(|| panic!("{}", said(&applied)));
        let about = || format!("{}: {}", self.row.about(), said(&applied));
        if code(&applied) == 0 {
            assert!(self.mount.free().0 >= ROOM, "{}", about());
        } else {
            assert_eq!(before, listing(&self.dir()), "{}", about());
        }
        (code(&shown), code(&applied), freed)
    }

    /// One run, which must leave the logs within their quota if it says so.
    fn run(&self) -> (i32, String) {
        let state = self.elsewhere.path().join("state");
        let config = self.config();
        let args = ["run".as_ref(), "--json".as_ref(), "--state".as_ref(), state.as_os_str()];
        let output = logquota(args.into_iter().chain([config.as_os_str()]));
        let run = json(&output);
        let steps = run["steps"].as_array().expect("steps");
        let cuts = steps.iter().filter(|s| s["action"] == "trim" && s["outcome"] == "done");
        let cut: u64 = cuts.map(|step| step["bytes"].as_u64().expect("bytes")).sum();
        self.cut.set(self.cut.get() + cut);
        (code(&output), said(&output))
    }

    /// The writer writes, and runs keep room for it.
    fn flood(&mut self) {
        let is_long = is_long() && self.row.by == By::Log;
        let end = self.writer.records + if is_long { 1_000_000 } else { 20_000 };
        let mut writer = Writer::new(&self.dir().join("app.log"));
        std::mem::swap(&mut writer, &mut self.writer);
        let writer = std::thread::scope(|scope| {
            let writing = scope.spawn(move || {
                writer.flood(end);
                writer
            });
            loop {
                let is_last = writing.is_finished();
                let (code, said) = self.run();
                let about = format!("{}: {said}\n{}", self.row.about(), listing(&self.dir()));
                assert_eq!(code, 0, "{about}");
                if is_last {
                    let used = self.dir().join("app.log").metadata().expect("the log").blocks();
                    // XFS reserves more for a log that grows while there is room.
                    assert!(self.row.disk.0 == "xfs" || used * 512 <= ROOM + TRACKING, "{about}");
                    return writing.join().expect("it writes");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let path = self.dir().join("app.log");
        assert!(listing(&self.dir()).lines().count() as u64 <= FILES, "{}", self.row.about());
        let content = fs::read(&path).expect("the log");
        let limits = (self.cut.get(), ROOM);
        assert_sequence(&content, writer.records, limits, &self.row.about());
        self.writer = writer;
    }
}
