//! People with a shell: they move, delete, cut and replace the log, take its directory away, and
//! make its file system read-only.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use logquota_tests::mounts::{Mount, needs, needs_root};

use crate::account::{assert_account, read_whole};
use crate::kills::Chance;
use crate::kit::{Flooder, MIB, Sampler, Told, is_long, listing, logs, scratch, used_on_disk};

const ARGS: [&str; 4] = ["quota=8388608", "segment=524288", "threads=2", "len=1024"];

/// What somebody does to the log.
type Deed = (&'static str, &'static str);

/// By the shell, in the folder of the log.
const DEEDS: [Deed; 7] = [
    ("removed", "rm -f player.log"),
    ("moved", "mv player.log ../moved 2>/dev/null; rm -f ../moved"),
    ("cut", ": > player.log"),
    ("copied over", "cp ../foreign player.log"),
    ("replaced", "cp ../foreign new && mv new player.log"),
    ("cut in half", "truncate -s 100000 player.log"),
    ("gone with its archives", "rm -f player.log*"),
];

fn shell(folder: &Path, script: &str) {
    let status = Command::new("sh").args(["-c", script]).current_dir(folder).status();
    assert!(status.expect("a shell").success(), "{script}");
}

/// What the appender itself knows must be right, whatever others did to its files.
#[track_caller]
fn assert_counts(told: &Told, about: &str) {
    let number = |name| told.number(name);
    assert_eq!(number("received"), number("written") + number("dropped"), "{about}: {told}");
}

#[test]
fn h46_whatever_a_shell_does_to_the_log_it_is_noticed_within_a_segment_and_gone_on_with() {
    if needs_root() {
        return;
    }
    for (deed, script) in DEEDS {
        let mount = Mount::tmpfs("size=32m,mode=0755");
        let logs = logs(&mount);
        let log = logs.join("player.log");
        fs::write(mount.at().join("foreign"), "somebody else's\n".repeat(500)).expect("a file");
        let base = used_on_disk(&logs);
        let mut flooder = Flooder::start(&log, &ARGS);
        drop(flooder.go(1000));
        drop(flooder.tell("maintain"));
        shell(&logs, script);
        // A tick, or a rotation: then it is noticed.
        let told = flooder.tell("maintain");
        assert!(told.events("Reopened") <= 1, "{deed}: {told}");
        let told = flooder.go(2000);
        assert_eq!(told.number("dropped"), 0, "{deed}: {told}");
        assert_eq!(told.number("reopened"), 1, "{deed}: {told}");
        assert!(log.exists(), "{deed}: {}", listing(&logs));
        let told = flooder.close();
        println!("{deed}: {:?}", told.0["said"]);
        assert_counts(&told, deed);
        let found = logquota_tests::flood::read(&log);
        // Ours from then on are all there; those of before are counted as gone.
        for thread in 0..2 {
            let numbers: Vec<_> =
                found.records.iter().filter(|id| id.thread == thread).map(|id| id.number).collect();
            let last: Vec<_> = numbers.iter().rev().take(2000).rev().copied().collect();
            assert_eq!(last, (1000..3000).collect::<Vec<_>>(), "{deed}, thread {thread}: {told}");
        }
        let there = u64::try_from(found.records.len()).expect("few");
        let counted = there + told.number("evicted_records");
        // What somebody else's bytes stand for nobody knows: 8,000 are 7 records.
        let differ = told.number("written").abs_diff(counted);
        assert!(
            differ <= 8,
            "{deed}: {there}, {told}
{}",
            listing(&logs)
        );
        // Nothing is held that has no name.
        let used = used_on_disk(&logs) - base;
        assert_eq!(used, crate::kit::footprint(&logs), "{deed}: {}", listing(&logs));
    }
}

#[test]
fn h46_a_shell_that_does_not_stop_neither_blocks_the_flood_nor_breaks_its_quota() {
    if needs_root() {
        return;
    }
    let mut chance = Chance::new();
    for delivery in ["written", "buffered", "queued"] {
        let mount = Mount::tmpfs("size=32m,mode=0755");
        let logs = logs(&mount);
        let log = logs.join("player.log");
        fs::write(mount.at().join("foreign"), "somebody else's\n".repeat(500)).expect("a file");
        let sampler = Sampler::start(&logs, false);
        let arg = format!("delivery={delivery}");
        let args: Vec<_> = ARGS.into_iter().chain(["pause_us=20", "codec=zstd", &*arg]).collect();
        let mut flooder = Flooder::start(&log, &args);
        flooder.begin(&format!("go {}", if is_long() { 60_000 } else { 12_000 }));
        let mut deeds = 0;
        let told = loop {
            let (_, script) = DEEDS[usize::try_from(chance.below(7)).expect("few")];
            let script = format!("{{ {script}; }} 2>/dev/null || true");
            shell(&logs, &script);
            deeds += 1;
            let wait = std::time::Duration::from_millis(chance.below(20));
            if let Some(told) = flooder.is_done(wait) {
                break told;
            }
        };
        println!("{delivery}: {deeds} deeds, {} noticed", told.number("reopened"));
        drop(flooder.tell("maintain"));
        assert!(log.exists(), "{told}");
        let told = flooder.close();
        sampler.assert_within(8 * MIB, delivery);
        assert_counts(&told, delivery);
        // Records may go with a log that is deleted under them; none is refused for long.
        assert!(told.number("dropped") < told.number("received") / 10, "{delivery}: {told}");
        assert_eq!(told.events("UpkeepFailed"), 0, "{delivery}: {told}");
    }
}

/// An error of the file system makes it read-only under the open log; so does an administrator.
#[test]
fn h47_on_a_file_system_that_became_read_only_records_are_counted_and_it_heals() {
    if needs_root() || needs(&["mkfs.ext4"]) {
        return;
    }
    for by_error in [true, false] {
        let about = format!("by error: {by_error}");
        let mount = Mount::ext4(32, &[], "errors=remount-ro");
        let logs = logs(&mount);
        let log = logs.join("player.log");
        let mut flooder = Flooder::start(&log, &ARGS);
        drop(flooder.go(2000));
        // What the journal does not have an error takes away.
        rustix::fs::sync();
        if by_error {
            let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", mount.device());
            fs::write(&trigger, "1").expect("the kernel takes it");
        } else {
            // With a file that is open for writing it is busy.
            let at = mount.at();
            let status = Command::new("mount").args(["-o", "remount,ro"]).arg(&at).output();
            if !status.expect("mount").status.success() {
                println!("a log that is open keeps its file system from being made read-only");
                drop(flooder.close());
                continue;
            }
        }
        let before = crate::kit::footprint(&logs);
        drop(flooder.go(5000));
        let told = flooder.tell("maintain");
        assert!(told.lost_by("read_only") > 9_000, "{about}: {told}");
        assert_eq!(told.events("LossBegan"), 1, "{about}: {told}");
        // One that tells of the upkeep at most.
        assert!(told.events("UpkeepFailed") <= 1, "{about}: {told}");
        assert!(crate::kit::footprint(&logs) <= before, "{about}: {}", listing(&logs));
        // Only a check of the device makes it writable again, and that needs it closed.
        let told = flooder.close();
        assert_counts(&told, &about);
        let mount = mount.repaired();
        let log = mount.at().join("logs").join("player.log");
        let mut flooder = Flooder::start(&log, &ARGS);
        let told = flooder.go(1000);
        assert_eq!(told.number("dropped"), 0, "{about}: {told}");
        drop(flooder.close());
    }
}

/// The program as a user without rights, whose folder is taken away and given back.
#[test]
fn h47_a_directory_that_is_taken_away_from_its_user_is_gone_on_with_when_it_is_given_back() {
    const NOBODY: u32 = 65_534;
    if needs_root() || needs(&["setpriv"]) {
        return;
    }
    // Where everybody can get at it.
    let scratch = scratch();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let program = scratch.path().join("flooder");
    fs::copy(Flooder::program(), &program).expect("a copy");
    let folder = scratch.path().join("logs");
    fs::create_dir(&folder).expect("a folder");
    let owner = |uid| chown(&folder, Some(uid), Some(uid)).expect("its owner");
    let mode = |mode| {
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("its mode");
    };
    owner(NOBODY);
    let log = folder.join("player.log");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&program);
    let (mut flooder, told) = Flooder::from(command, &log, &ARGS);
    assert!(told.0["refused"].is_null(), "{told}");
    drop(flooder.go(2000));
    owner(0);
    mode(0o700);
    drop(flooder.go(20_000));
    let told = flooder.tell("maintain");
    println!("taken away: {}", told.0["by_cause"]);
    // What it has open it may go on with, up to its limit; then nothing can be renamed.
    let most = 40_000 - told.number("dropped");
    assert!(most <= 512, "{told}");
    assert_eq!(told.lost_by("unavailable"), told.number("dropped"), "{told}");
    assert!(log.metadata().expect("the log").len() <= 512 << 10, "{}", listing(&folder));
    assert_eq!(told.events("LossBegan"), 1, "{told}");
    assert!(told.events("UpkeepFailed") <= 6, "{told}");
    owner(NOBODY);
    mode(0o755);
    let before = told.number("dropped");
    drop(flooder.tell("maintain"));
    let told = flooder.go(2000);
    assert_eq!(told.number("dropped"), before, "{told}");
    let told = flooder.close();
    let found = read_whole(&log, "nobody's");
    assert_account(&found, 0, &told, "nobody's");
}

#[test]
fn h46_a_log_that_became_a_folder_or_a_pipe_is_counted_as_unavailable_and_never_blocks() {
    let scratch = scratch();
    for (what, script) in [
        ("a folder", "rm player.log; mkdir player.log"),
        ("a pipe", "rm player.log; mkfifo player.log"),
        ("a link", "rm player.log; ln -s ../foreign player.log"),
    ] {
        let folder = scratch.path().join("logs");
        fs::create_dir(&folder).expect("a folder");
        let foreign = scratch.path().join("foreign");
        drop(File::create(&foreign).expect("a file"));
        let log = folder.join("player.log");
        let mut flooder = Flooder::start(&log, &ARGS);
        drop(flooder.go(100));
        shell(&folder, script);
        drop(flooder.tell("maintain"));
        drop(flooder.go(1000));
        let told = flooder.tell("maintain");
        assert_eq!(told.lost_by("unavailable"), 2000, "{what}: {told}");
        assert_eq!(told.events("LossBegan"), 1, "{what}: {told}");
        assert_eq!(foreign.metadata().expect("it").len(), 0, "{what}");
        shell(&folder, "rm -rf player.log");
        drop(flooder.tell("maintain"));
        let told = flooder.go(100);
        assert_eq!(told.number("dropped"), 2000, "{what}: {told}");
        drop(flooder.close());
        fs::remove_dir_all(&folder).expect("it goes");
    }
}
