//! Files that are not what they look like, and a lock whose holder is dead.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use logquota::naming::temporary_name;
use logquota_tests::strace::{Strace, calls, needs_strace};
use rustix::fs::{FallocateFlags, FileType, Mode};

use crate::kill::{in_parallel, traced};
use crate::kit::{
    BIN, HOUR, Scene, assert_code, assert_tidy, contents, du, file, files, folder_run, label,
    listing, logquota, plain, prose, said, tree, used, was_killed, within,
};

/// A file of `len` bytes without a block. `false` if the file system has none that large.
fn sparse(path: &Path, len: u64) -> bool {
    let made = File::create(path).and_then(|file| file.set_len(len));
    if let Err(error) = &made {
        println!("skipped: needs a file system with files of {len} bytes: {error}");
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("its mode");
    made.is_ok()
}

#[test]
fn h07_a_log_of_ten_tebibytes_of_nothing_takes_no_time_and_no_room() {
    let configs = [
        None,
        Some("LOGS/*.log {\n size 1M\n rotate 3\n compress\n create\n quota 1M\n}\n"),
        Some("LOGS/*.log {\n size 1M\n rotate 3\n compress\n create\n}\n"),
        Some("LOGS/*.log {\n size 1M\n rotate 3\n compress\n copytruncate\n}\n"),
        Some("LOGS/*.log {\n size 1M\n rotate 3\n copytruncate\n quota 1M\n}\n"),
        Some("LOGS/*.log {\n size 1M\n rotate 3\n copy\n quota 1M\n}\n"),
    ];
    for (name, config) in ["huge.log", "app.log.2"]
        .into_iter()
        .flat_map(|name| configs.iter().map(move |config| (name, config)))
    {
        let scene = Scene::new();
        let logs = scene.logs();
        file(&logs.join("app.log"), &prose("app", 100 << 10), HOUR);
        if !sparse(&logs.join(name), 10 << 40) {
            return;
        }
        let args = match config {
            Some(text) => scene.config(&logs, text),
            None => folder_run(&logs, "1M", &["--size", "256k"]),
        };
        let output = within(Duration::from_secs(20), Command::new(BIN).args(&args));
        let seen = || format!("{name} {config:?}: {}\n{}", said(&output), listing(&logs));
        assert_eq!(output.status.code(), Some(0), "{}", seen());
        assert!(used(&logs) <= 1 << 20, "{}", seen());
        assert!(contents_but(&logs, "huge").contains(&prose("app", 100 << 10)), "{}", seen());
    }
}

/// What the files hold that have no blocks to speak of is not read.
fn contents_but(logs: &Path, name: &str) -> BTreeSet<Vec<u8>> {
    let is_small = |path: &std::path::PathBuf| {
        path.metadata().is_ok_and(|meta| meta.len() < 1 << 30)
            && !path.to_string_lossy().contains(name)
    };
    files(logs)
        .iter()
        .filter(|path| is_small(path))
        .map(|path| crate::kit::unpacked(path))
        .collect()
}

/// Blocks behind the end of a file are blocks.
#[test]
fn h07_blocks_that_were_reserved_for_an_empty_file_count_towards_the_quota() {
    let scene = Scene::new();
    let logs = scene.logs();
    file(&logs.join("app.log"), &prose("app", 10_000), HOUR);
    for number in 1..=3u32 {
        let path = logs.join(format!("app.log.{number}"));
        file(&path, b"short", HOUR * 24 * number);
        let opened = File::options().write(true).open(&path).expect("opens");
        let reserved = rustix::fs::fallocate(&opened, FallocateFlags::KEEP_SIZE, 0, 4 << 20);
        if let Err(error) = reserved {
            println!("skipped: needs a file system that reserves blocks: {error}");
            return;
        }
    }
    assert!(du(&logs) >= 12 << 20);
    let args = folder_run(&logs, "6M", &["--compress", "none"]);
    assert_code(&logquota(args), 0);
    assert!(du(&logs) <= 6 << 20, "{}", listing(&logs));
    assert!(logs.join("app.log.1").exists(), "{}", listing(&logs));
    assert!(!logs.join("app.log.3").exists(), "{}", listing(&logs));
}

#[test]
fn h09_pipes_sockets_devices_and_folders_among_the_logs_are_reported_and_never_opened() {
    let scene = Scene::new();
    let logs = scene.logs();
    let make = |name: &str, kind: FileType| {
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            logs.join(name),
            kind,
            Mode::from_raw_mode(0o600),
            // /dev/zero's number: reading it would not end.
            rustix::fs::makedev(1, 5),
        );
        made.is_ok()
    };
    assert!(make("pipe.log", FileType::Fifo));
    assert!(make("app.log.1", FileType::Fifo));
    let _socket =
        std::os::unix::net::UnixListener::bind(logs.join("socket.log")).expect("a socket");
    // For root only.
    let _ = make("device.log", FileType::CharacterDevice);
    fs::create_dir(logs.join("folder.log")).expect("a folder");
    fs::create_dir(logs.join("app.log.2")).expect("a folder");
    file(&logs.join("app.log"), &prose("app", 200 << 10), HOUR);
    file(&logs.join("good.log"), &prose("good", 200 << 10), HOUR);
    let kinds = |logs: &Path| -> Vec<_> {
        let special = |path: &Path| !path.symlink_metadata().expect("its inode").is_file();
        let mut found = crate::kit::walk(logs);
        found.retain(|path| special(path));
        found
    };
    let before = kinds(&logs);
    let config = scene
        .config(&logs, "LOGS/*.log {\n size 10k\n rotate 3\n compress\n create\n quota 1M\n}\n");
    for args in [folder_run(&logs, "1M", &["-v"]), config] {
        for verb in ["plan", "run"] {
            let mut args = args.clone();
            args[0] = verb.into();
            let output = within(Duration::from_secs(5), Command::new(BIN).args(&args));
            let seen = || format!("{args:?}: {}\n{}", said(&output), listing(&logs));
            assert!(matches!(output.status.code(), Some(0 | 1)), "{}", seen());
            assert_eq!(kinds(&logs), before, "{}", seen());
            if args.contains(&"-v".into()) {
                let stderr = String::from_utf8_lossy(&output.stderr);
                let says = |name| stderr.lines().any(|l| l.contains(name) && l.contains("regular"));
                assert!(says("pipe.log") && says("socket.log"), "{}", seen());
            }
        }
    }
    // The log that has nothing strange about it was rotated all the same.
    assert_eq!(logs.join("good.log").metadata().expect("its inode").len(), 0, "{}", listing(&logs));
    assert!(contents_of_files(&logs).contains(&prose("good", 200 << 10)), "{}", listing(&logs));
    assert!(contents_of_files(&logs).contains(&prose("app", 200 << 10)), "{}", listing(&logs));
}

fn contents_of_files(logs: &Path) -> BTreeSet<Vec<u8>> {
    contents(logs).into_iter().collect()
}

/// The lock dies with its holder, even if that is killed in the middle of a script.
#[test]
fn h35_a_killed_holder_leaves_no_lock() {
    let scene = Scene::new();
    let logs = scene.logs();
    let content = prose("app", 50 << 10);
    file(&logs.join("app.log"), &content, HOUR);
    let pipe = |name: &str| {
        let path = scene.path(name);
        let mode = Mode::from_raw_mode(0o600);
        let made = rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, mode, 0);
        made.expect("a pipe");
        path
    };
    let (says, hears) = (pipe("says"), pipe("hears"));
    // The script waits for us: while it does, the run is in the middle of its work.
    let script = format!("echo at work > {}; read go < {}", says.display(), hears.display());
    let config = format!(
        "LOGS/app.log {{\n size 10k\n rotate 3\n create\n postrotate\n {script}\n endscript\n}}\n"
    );
    let args = scene.config(&logs, &config);
    let mut holder = Command::new(BIN);
    holder.args(&args).stdout(Stdio::null()).stderr(Stdio::null());
    let mut holder = plain(&mut holder).spawn().expect("the program starts");
    let said_so = fs::read_to_string(&says).expect("what the script says");
    assert_eq!(said_so, "at work\n");

    let mut impatient = args.clone();
    impatient.extend(["--lock-wait".into(), "0".into()]);
    let output = logquota(&impatient);
    assert_code(&output, 3);
    let before = contents(&logs);

    holder.kill().expect("it can be killed");
    holder.wait().expect("it ends");
    // The script ends, too.
    drop(File::options().write(true).open(&hears).expect("it still listens"));
    assert_eq!(contents(&logs), before);
    // The rotation was whole but for what follows it; nothing is due any more.
    fs::write(scene.path("logquota.conf"), config_without_script(&logs)).expect("a configuration");
    let output = logquota(&impatient);
    assert_code(&output, 0);
    assert_eq!(contents(&logs), [vec![], content]);
    let before = tree(&logs);
    assert_code(&logquota(&impatient), 0);
    assert!(tree(&logs) == before);
}

fn config_without_script(logs: &Path) -> String {
    format!("{}/app.log {{\n size 10k\n rotate 3\n create\n}}\n", logs.display())
}

/// Logs with different modes and an owner that is not ours, and no umask: at no time may
/// anybody read of a log in another file what he could not read in the log itself.
#[test]
fn h11_what_is_made_of_a_log_is_never_open_to_more_than_the_log() {
    if needs_strace() {
        return;
    }
    let modes = [("app", 0o600), ("db", 0o604), ("web", 0o660)];
    let owner = if rustix::process::geteuid().is_root() { Some(65_534) } else { None };
    for method in ["create", "copytruncate", "nocreate"] {
        let config = format!("LOGS/*.log {{\n size 4k\n rotate 3\n compress\n {method}\n}}\n");
        let make = || {
            let scene = Scene::new();
            for (log, mode) in modes {
                for name in [format!("{log}.log"), format!("{log}.log.1")] {
                    let path = scene.logs().join(&name);
                    file(&path, &prose(&name, 20_000), HOUR);
                    std::os::unix::fs::chown(&path, owner, owner).expect("its owner");
                    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
                }
            }
            let args = scene.config(&scene.logs(), &config);
            (scene, args)
        };
        let (scene, args) = make();
        let output = traced(&Strace::new().serial(), &scene, &args);
        assert_code(&output, 0);
        // Every name there may be, and the temporary names for them.
        let names: Vec<_> = files(&scene.logs())
            .iter()
            .map(|path| path.file_name().expect("a name").to_owned())
            .flat_map(|name| {
                let plain = label(Path::new(&name)).into_os_string();
                [name, plain]
            })
            .collect();
        let log_of = |path: &Path| -> String {
            let found = path.file_name().expect("a name");
            let name = names.iter().find(|name| found == temporary_name(name));
            let name = name.map_or(found, |name| name.as_os_str()).to_string_lossy();
            name.split('.').next().unwrap_or_default().to_owned()
        };
        let trace = calls(&scene.path("trace"));
        let cuts: Vec<_> = trace
            .iter()
            .filter(|call| call.changes_files() || call.name == "fsync" || call.name == "fchown")
            .map(|call| (call.name.clone(), call.number))
            .collect();
        assert!(cuts.len() > 30, "{cuts:?}");
        let check = |scene: &Scene, about: &str| {
            for path in files(&scene.logs()) {
                let meta = path.metadata().expect("its inode");
                let log = log_of(&path);
                let Some((_, most)) = modes.iter().find(|(name, _)| *name == log) else {
                    panic!("{about}: whose is {}?\n{}", path.display(), listing(&scene.logs()));
                };
                let mode = meta.mode() & 0o7777;
                let seen = || format!("{about}: {mode:o} {} {}", meta.uid(), path.display());
                assert_eq!(mode & !most, 0, "wider than the log: {}", seen());
                // Bits for the group are meant for the log's group.
                if let Some(owner) = owner {
                    assert!(mode & 0o070 == 0 || meta.gid() == owner, "{}", seen());
                }
            }
        };
        check(&scene, &format!("{method}, whole"));
        for path in files(&scene.logs()) {
            let meta = path.metadata().expect("its inode");
            assert_eq!(owner.unwrap_or(meta.uid()), meta.uid(), "{}", path.display());
        }
        in_parallel(&cuts, |(call, number)| {
            let (scene, args) = make();
            let strace = Strace::new().serial().kill_at(call, *number);
            let output = traced(&strace, &scene, &args);
            assert!(was_killed(&output), "{method}, {call} {number}: {}", said(&output));
            check(&scene, &format!("{method}, killed at {call} {number}"));
        });
    }
}

#[test]
fn h44_a_log_that_grows_while_it_is_copied_loses_nothing() {
    let scene = Scene::new();
    let logs = scene.logs();
    let path = logs.join("app.log");
    file(&path, b"", HOUR);
    // Writes until it is told to stop; `O_APPEND`, as loggers do.
    let script = format!(
        "i=0; while [ ! -e {stop} ]; do i=$((i+1)); echo $i; done >> {log}",
        stop = scene.path("stop").display(),
        log = path.display()
    );
    let mut writer = Command::new("sh");
    writer.args(["-c", &script]).stderr(Stdio::null());
    let mut writer = plain(&mut writer).spawn().expect("sh starts");
    let args = scene.config(
        &logs,
        "LOGS/app.log {\n size 1\n rotate 1000\n copytruncate\n notifempty\n compress\n}\n",
    );
    for _ in 0..20 {
        let output = logquota(&args);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", said(&output));
    }
    fs::write(scene.path("stop"), "").expect("a file");
    writer.wait().expect("it ends");
    let mut lines: Vec<u64> = contents(&logs)
        .iter()
        .flat_map(|content| {
            String::from_utf8_lossy(content).lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .filter_map(|line| line.parse().ok())
        .collect();
    lines.sort_unstable();
    let (first, last) = (lines.first().copied(), lines.last().copied().unwrap_or(0));
    println!("{} of {last} lines, {} archives", lines.len(), files(&logs).len() - 1);
    assert_eq!(first, Some(1));
    // copytruncate has a moment between the last copy and the cut in which a line may be
    // lost; what comes twice never is.
    let count = u64::try_from(lines.len()).expect("fits");
    lines.dedup();
    assert_eq!(u64::try_from(lines.len()).ok(), Some(count), "a line is there twice");
    assert!(last - count <= last / 100, "{} of {last} lines were lost", last - count);
    assert_tidy(&logs, "");
}
