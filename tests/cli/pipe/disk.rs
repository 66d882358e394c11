//! A pipe and a disk that is full, or that cannot be written: who writes into the pipe never
//! notices, and everything that is lost is counted.

use logquota_tests::mounts::{Mount, needs_root};

use super::*;

/// The lines that the log itself has about losses: how many they say were lost.
fn announced(text: &str) -> u64 {
    let numbers = text.lines().filter_map(|line| line.strip_prefix("logquota: "));
    numbers.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum()
}

/// What `Mount::fill` made is gone again.
fn empty(mount: &Mount) {
    fs::remove_file(mount.at().join("foreign.bin")).expect("the foreign file");
    fs::remove_dir_all(mount.at().join("foreign")).expect("the foreign folder");
}

/// A pipe gets 4 MiB, much more than it holds, while the disk is full. Returns what was said and
/// what is in the log.
fn flood_on_a_full_disk(policy: &str, exit: i32) -> (String, String) {
    let mount = Mount::tmpfs("size=4m");
    let log = mount.folder("logs").join("player.log");
    let args = ["--quota", "2M", "--size", "64k", "--on-full", policy];
    let mut pipe = Pipe::start(&args, &log);
    pipe.line("first");
    mount.fill(false, true);
    let flood: String = (0..LINES).map(|n| format!("{n:06} {:>93}\n", "x")).collect();
    let mut stdin = pipe.stdin.take().expect("its standard input");
    let writer = std::thread::spawn(move || {
        stdin.write_all(flood.as_bytes()).expect("it reads, whatever the disk says");
        stdin
    });
    // The copy is complete even so.
    for _ in 0..LINES {
        let mut line = String::new();
        pipe.copy.read_line(&mut line).expect("a copy");
    }
    pipe.stdin = Some(writer.join().expect("it was written"));
    empty(&mount);
    pipe.line("last");
    let output = pipe.finish();
    assert_code(&output, exit);
    let said = text(&output.stderr);
    assert!(said.lines().count() <= 4, "{said}");
    let kept = segments(&log).concat();
    assert!(kept.ends_with("last\n"), "{kept}");
    (said, kept)
}

const LINES: u64 = 40_000;

#[test]
fn h37_h38_a_full_disk_stops_nobody_and_what_is_lost_is_counted() {
    if needs_root() {
        return;
    }
    for (policy, exit) in [("fail", 1), ("drop", 0)] {
        let (said, kept) = flood_on_a_full_disk(policy, exit);
        assert!(said.contains("are being lost") && said.contains("written again"), "{said}");
        let lost = announced(&kept);
        let own = kept.lines().filter(|line| !line.starts_with("logquota: ")).count() as u64;
        assert!(lost > 0);
        assert_eq!(own + lost, LINES + 2, "{own} in the log, {lost} lost");
    }
}

#[test]
fn on_a_full_disk_new_lines_take_the_place_of_our_old_ones() {
    if needs_root() {
        return;
    }
    let (said, kept) = flood_on_a_full_disk("evict", 0);
    assert!(said.is_empty(), "{said}");
    assert!(kept.contains(&format!("\n{:06} ", LINES - 1)), "{kept}");
}

#[test]
fn h39_a_disk_that_is_full_at_the_start_is_waited_for() {
    if needs_root() {
        return;
    }
    let mount = Mount::tmpfs("size=1m,nr_inodes=16");
    let log = mount.folder("logs").join("player.log");
    mount.fill(true, true);
    let mut pipe = Pipe::start(&["--quota", "256k"], &log);
    pipe.line("lost");
    empty(&mount);
    pipe.line("kept");
    let output = pipe.finish();
    assert_code(&output, 1);
    let kept = segments(&log).concat();
    assert!(kept.ends_with("kept\n") && announced(&kept) == 1, "{kept}");
}

#[test]
fn a_quota_that_may_evict_nothing_drops_what_is_new_as_it_was_told() {
    for (policy, exit) in [("drop", 0), ("fail", 6)] {
        let sandbox = Sandbox::new();
        let log = sandbox.logs().join("player.log");
        let args = ["--quota", "128k", "--size", "16k", "--on-full", policy];
        let input: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        let output = pipe(&args, &log, input.as_bytes());
        assert_code(&output, exit);
        assert!(used(&log) <= 128 << 10);
        let kept = segments(&log).concat();
        let own: Vec<&str> = kept.lines().filter(|line| line.starts_with("line ")).collect();
        assert!(own.len() > 1000 && input.starts_with(&(own.join("\n") + "\n")), "{}", own.len());
        let said = text(&output.stderr);
        assert!(said.contains(&format!("{} lines", 20_000 - own.len())), "{said}");
        assert!(said.lines().count() <= 3, "{said}");
    }
}

#[test]
fn h47_a_folder_that_vanishes_and_comes_back_is_written_to_again() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let mut pipe = Pipe::start(&["--quota", "1M"], &log);
    pipe.line("before");
    fs::remove_dir_all(sandbox.logs()).expect("removed");
    pipe.signal(Signal::HUP);
    pipe.line("meanwhile");
    fs::create_dir(sandbox.logs()).expect("made again");
    pipe.signal(Signal::HUP);
    pipe.line("after");
    let output = pipe.finish();
    assert_code(&output, 1);
    let kept = segments(&log).concat();
    assert!(kept.ends_with("after\n") && !kept.contains("meanwhile"), "{kept}");
}
