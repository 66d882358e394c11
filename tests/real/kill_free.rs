//! `kill -9` of `free` at every call that changes a file, on a disk that is full to the last
//! block: called again it reaches its goal, and takes no more than if it had not been killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use logquota_tests::mounts::{Mount, needs, needs_root};
use logquota_tests::strace::{self, SYNCING, Strace, needs_strace};

use crate::kill::Cut;
use crate::kit::{
    BIN, HOUR, PATIENCE, assert_code, file, files, listing, noise, prose, said, unpacked,
    was_killed, within,
};

const CONFIG: &str = "LOGS/*.log {\n rotate 9\n size 1G\n maxage 30\n compress\n}\n";

/// What differs between two runs of the same on ext4: blocks of its own.
const SLACK: u64 = 64 << 10;

/// What stays of a log, as `docs/full-disk.md` promises.
const KEPT: usize = 64 << 10;

/// A disk, and what is called on it.
struct Scene {
    mount: Mount,
    logs: PathBuf,
    config: PathBuf,
    // Beside the disk, which is full.
    aside: tempfile::TempDir,
    wanted: &'static str,
    /// What each file was called at first, and what was in it.
    before: BTreeMap<PathBuf, (PathBuf, Vec<u8>)>,
}

impl Scene {
    fn new(wanted: &'static str) -> Self {
        let mount = Mount::ext4(16, &[], "");
        let logs = mount.folder("logs");
        let log = |name: &str, content: Vec<u8>, days: u32| {
            file(&logs.join(name), &content, HOUR + HOUR * 24 * days);
        };
        log("app.log", noise("app", 1 << 20), 0);
        log("app.log.1", prose("app.log.1", 500 << 10), 1);
        (2..=4).for_each(|n| log(&format!("app.log.{n}"), noise(&format!("app{n}"), 500 << 10), n));
        log("app.log.5.gz", noise("app5", 700 << 10), 40);
        log("db.log", noise("db", 200 << 10), 0);
        (1..=2)
            .for_each(|n| log(&format!("db.log.{n}.gz"), noise(&format!("db{n}"), 100 << 10), n));
        let aside = tempfile::tempdir().expect("a folder");
        let config = aside.path().join("logquota.conf");
        let text = CONFIG.replace("LOGS", logs.to_str().expect("UTF-8"));
        file(&config, text.as_bytes(), HOUR);
        let all = files(&logs).into_iter();
        let seen = |path: PathBuf| {
            let (name, content) = (below(&path, &logs), std::fs::read(&path).expect("a file"));
            (stem(&name), (name, content))
        };
        let before = all.map(seen).collect();
        // To the last block, with nothing left to be written: what ext4 reserves for data whose
        // place is not chosen yet comes back when that is, and a block more is a call less.
        mount.fill_to_the_last_block();
        assert_eq!(mount.free().0, 0);
        Self { mount, logs, config, aside, wanted, before }
    }

    fn command(&self, strace: Option<&Strace>) -> Command {
        let mut command = match strace {
            Some(strace) => strace.command(BIN, &self.trace()),
            None => Command::new(BIN),
        };
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        command.args(["free", self.wanted, "--trim-active", "--max-fraction", "1"]);
        command.args(["--yes", "--host", &host, "--config"]).arg(&self.config);
        command
    }

    fn trace(&self) -> PathBuf {
        self.aside.path().join("trace")
    }

    fn run(&self, strace: Option<&Strace>) -> Output {
        within(PATIENCE, &mut self.command(strace))
    }

    /// What is left, by name and length behind a gap; whether it is compressed does not matter.
    fn left(&self) -> BTreeMap<PathBuf, u64> {
        let len = |path: &Path| {
            let content = std::fs::read(path).expect("its content");
            content.iter().skip_while(|byte| **byte == 0).count() as u64
        };
        let files = files(&self.logs).into_iter();
        files.map(|path| (stem(&below(&path, &self.logs)), len(&path))).collect()
    }

    /// What is left is what was there, compressed or not; of a log its newest.
    #[track_caller]
    fn assert_contents(&self, about: &str) {
        for path in files(&self.logs) {
            let name = below(&path, &self.logs);
            let (old, was) = &self.before[&stem(&name)];
            let is_as_it_was = *old == name;
            let found =
                if is_as_it_was { std::fs::read(&path).expect("it") } else { unpacked(&path) };
            if name.extension().is_some_and(|end| end == "log") {
                let gap = found.iter().take_while(|byte| **byte == 0).count();
                let newest = &found[gap..];
                assert!(newest.len() >= KEPT && was.ends_with(newest), "{about}: {name:?}");
            } else {
                assert!(*was == found, "{about}: {name:?}");
            }
        }
    }

    fn free(&self) -> u64 {
        self.mount.free().0
    }
}

fn below(path: &Path, folder: &Path) -> PathBuf {
    path.strip_prefix(folder).expect("below").to_owned()
}

fn stem(path: &Path) -> PathBuf {
    if path.extension().is_some_and(|end| end == "gz") {
        path.with_extension("")
    } else {
        path.into()
    }
}

fn killed_everywhere(wanted: &'static str, bytes: u64) {
    let whole = Scene::new(wanted);
    let output = whole.run(Some(&Strace::new().serial()));
    assert_code(&output, 0);
    let calls = strace::calls(&whole.trace());
    let is_cut = |call: &&strace::Call| call.changes_files() || SYNCING.contains(&&*call.name);
    let cuts: Vec<_> = calls
        .iter()
        .filter(is_cut)
        .map(|call| Cut { call: call.name.clone(), number: call.number })
        .collect();
    whole.assert_contents(wanted);
    println!("{wanted}: {} calls, {:?} left", cuts.len(), whole.left());
    assert!(cuts.len() > 3 && whole.free() >= bytes, "{cuts:?}");
    let (names, free) = (whole.left(), whole.free());
    drop(whole);
    for cut in cuts {
        let about = format!("{wanted}, killed at {} {}", cut.call, cut.number);
        let scene = Scene::new(wanted);
        let output = scene.run(Some(&Strace::new().serial().kill_at(&cut.call, cut.number)));
        assert!(was_killed(&output), "{about}: {}", said(&output));
        let then = listing(&scene.logs);
        let output = scene.run(None);
        let seen =
            || format!("{about}: {}\nleft by it:\n{then}\n{:?}", said(&output), scene.left());
        assert_eq!(output.status.code(), Some(0), "{}", seen());
        assert!(scene.free() >= bytes, "{} {}", scene.free(), seen());
        assert!(scene.free() <= free + SLACK, "{} of {free}: {}", scene.free(), seen());
        scene.assert_contents(&about);
        let left = scene.left();
        assert!(left.keys().eq(names.keys()), "{}\n{names:?}", seen());
        for name in ["app.log", "db.log"].map(Path::new) {
            let (is, was) = (left[name], names[name]);
            assert!(is.abs_diff(was) <= SLACK, "{name:?}: {is}, {was}: {}", seen());
        }
    }
}

#[test]
fn h28_h52_free_that_is_killed_at_any_call_reaches_its_goal_when_it_is_called_again() {
    if needs_root() || needs(&["mkfs.ext4"]) || needs_strace() {
        return;
    }
    // By archives that go or are compressed; by all of them and a part of the largest log.
    killed_everywhere("1500k", 1500 << 10);
    killed_everywhere("3300k", 3300 << 10);
}
