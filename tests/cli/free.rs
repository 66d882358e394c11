//! `free`: shown first, done by its id, here, once.
//!
//! Where the disk is not one of its own the goal is all of it: so much is never free, and what
//! others write meanwhile does not matter.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use logquota_tests::mounts::{Mount, needs_root as needs_root_to_mount};
use serde_json::Value;

use crate::kit::{
    BIN, DAY, Held, Sandbox, assert_code, command, is_root, json, logquota, needs, noise,
    picture_after, picture_before, set_times, text,
};

/// Two logs with seven archives, 400 KiB, and a file that is nobody's log.
fn logs(sandbox: &Sandbox) -> PathBuf {
    sandbox.log("app.log", 48, Duration::ZERO);
    for number in 1..=4 {
        sandbox.log(format!("app.log.{number}"), 64, DAY * number);
    }
    sandbox.log("db.log", 8, Duration::ZERO);
    for number in 1..=3 {
        sandbox.log(format!("db.log.{number}"), 32, DAY * number);
    }
    sandbox.content("dump.sql", &noise(1, 200 << 10), DAY);
    sandbox.logs()
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn free(dir: &Path, more: &[&str]) -> Output {
    let mut command = command();
    command.args(["free", "100%", "--max-fraction", "1"]).args(more).arg(dir);
    command.output().expect("the program starts")
}

/// The id that is shown.
fn id_of(shown: &Output) -> String {
    let shown = text(&shown.stdout);
    let mut words = shown.split_whitespace().skip_while(|word| *word != "--apply").skip(1);
    let id = words.find(|word| *word != "\\").unwrap_or_else(|| panic!("no id: {shown}"));
    id.to_owned()
}

fn apply(dir: &Path, id: &str) -> Output {
    free(dir, &["--apply", id])
}

fn assert_refused(output: &Output, says: &str) {
    assert_code(output, 5);
    let stderr = text(&output.stderr);
    assert!(stderr.contains(says), "{stderr}");
}

fn archives(sandbox: &Sandbox) -> Vec<String> {
    let names = sandbox.listing().into_keys().map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.contains(".log.")).collect()
}

#[test]
fn the_host_comes_first_then_what_goes_then_the_command_that_does_it() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let output = free(&dir, &[]);
    assert_code(&output, 6);
    let shown = text(&output.stdout);
    let at = |what: &str| shown.find(what).unwrap_or_else(|| panic!("`{what}` in {shown}"));
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let order = [
        format!("host     {}", host()),
        format!("machine  {}", machine.trim()),
        "free now".to_owned(),
        "NOT ENOUGH".to_owned(),
        "app.log: 4 of 4 archives".to_owned(),
        "db.log: 3 of 3 archives".to_owned(),
        "Not ours, not counted on".to_owned(),
        "dump.sql".to_owned(),
        "Nothing was changed.".to_owned(),
        format!("--host {}", host()),
    ];
    let order: Vec<_> = order.iter().map(|what| at(what)).collect();
    assert!(order.is_sorted(), "{order:?}\n{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80 || line.contains('/')), "{shown}");
    assert!(!shown.contains('\x1b'));
    assert_eq!(archives(&sandbox).len(), 7);
}

#[test]
fn h24_what_was_shown_is_done_by_its_id_and_only_once() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let id = id_of(&free(&dir, &[]));
    let output = apply(&dir, &id);
    assert_code(&output, 6);
    assert!(text(&output.stdout).contains("7 files deleted, 352.0 KiB by their sizes"));
    assert_eq!(archives(&sandbox), Vec::<String>::new());
    for kept in ["app.log", "db.log", "dump.sql"] {
        assert!(sandbox.listing().contains_key(OsStr::new(kept)), "{kept}");
    }
    let before = picture_before(&dir);
    assert_refused(&apply(&dir, &id), "already applied");
    assert_eq!(before, picture_after(&dir));
}

#[test]
fn h24_of_eight_at_once_one_does_it() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let id = id_of(&free(&dir, &[]));
    let all: Vec<_> = (0..8)
        .map(|_| {
            let mut command = command();
            command.args(["free", "100%", "--max-fraction", "1", "--json", "--lock-wait", "60"]);
            command.args(["--apply", &id]).arg(&dir);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().expect("the program starts")
        })
        .collect();
    let ends: Vec<_> =
        all.into_iter().map(|child| child.wait_with_output().expect("ends")).collect();
    let codes: Vec<_> = ends.iter().map(|end| end.status.code().unwrap_or(-1)).collect();
    assert_eq!(codes.iter().filter(|code| **code == 6).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 5).count(), 7, "{codes:?}");
    assert_eq!(archives(&sandbox), Vec::<String>::new());
}

/// Somebody puts another file in the place of one that was to go: with its name, its length and
/// its times.
#[test]
fn h19_h20_another_file_under_the_same_name_is_not_deleted() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let id = id_of(&free(&dir, &[]));
    let victim = dir.join("app.log.4");
    let changed = victim.metadata().and_then(|meta| meta.modified()).expect("mtime");
    fs::remove_file(&victim).expect("deleted");
    fs::write(&victim, vec![b'x'; 64 << 10]).expect("another file");
    set_times(&victim, changed);
    let before = picture_before(&dir);
    assert_refused(&apply(&dir, &id), "are not what they were");
    assert_eq!(before, picture_after(&dir));
}

#[test]
fn h21_what_was_written_to_since_is_not_deleted() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let id = id_of(&free(&dir, &[]));
    let mut content = fs::read(dir.join("db.log.2")).expect("its content");
    content.push(b'x');
    fs::write(dir.join("db.log.2"), content).expect("written");
    assert_refused(&apply(&dir, &id), "are not what they were");
    assert_eq!(archives(&sandbox).len(), 7);
    // A log that grows is no reason.
    let id = id_of(&free(&dir, &[]));
    fs::write(dir.join("app.log"), vec![b'y'; 90 << 10]).expect("written");
    assert_code(&apply(&dir, &id), 6);
    assert_eq!(archives(&sandbox).len(), 0);
}

#[test]
fn h23_an_id_is_for_this_host_this_call_and_this_hour() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let id = id_of(&free(&dir, &[]));
    let parts: Vec<_> = id.split('-').collect();
    let [digest, bonds, time] = parts[..] else { panic!("three parts: {id}") };
    let time = i64::from_str_radix(time, 16).expect("a time");
    let at = |secs: i64| format!("{digest}-{bonds}-{:x}", time + secs);
    assert_refused(&apply(&dir, &at(-3700)), "it expired at");
    assert_refused(&apply(&dir, &at(3700)), "in the future");
    // The time is part of what the digest is over.
    assert_refused(&apply(&dir, &at(-1)), "are not what they were");
    let other = |text: &str| -> String {
        let another = |c| if c == '0' { '1' } else { '0' };
        text.chars().map(another).collect()
    };
    let with = |bonds: &str| format!("{}-{bonds}-{time:x}", other(digest));
    assert_refused(&apply(&dir, &with(bonds)), "files or free space are not what they were");
    for (at, says) in [
        (0, "it was made on another machine"),
        (2, "the machine was restarted since"),
        (4, "this call asks for something else"),
        (6, "a folder of logs is not the one that it was"),
        (8, "the configuration is another one"),
    ] {
        let (before, rest) = bonds.split_at(at);
        let (this, behind) = rest.split_at(2);
        let bonds = format!("{before}{}{behind}", other(this));
        assert_refused(&apply(&dir, &with(&bonds)), says);
    }
    let wrong = free(&dir, &["--host", "elsewhere", "--apply", &id]);
    assert_refused(&wrong, "`elsewhere` was meant");
    for other in [["99%", "--max-fraction", "1"], ["100%", "--max-fraction", "0.9"]] {
        let mut command = command();
        command.arg("free").args(other).args(["--apply", &id]).arg(&dir);
        let output = command.output().expect("the program starts");
        assert_refused(&output, "this call asks for something else");
    }
    for more in [["--max-files", "100"], ["--valid-for", "2h"]] {
        let output = free(&dir, &[&more[..], &["--apply", &id]].concat());
        assert_refused(&output, "this call asks for something else");
    }
    assert_code(&free(&dir, &["--apply", &digest[..11]]), 2);
    assert_eq!(archives(&sandbox).len(), 7);
    assert_code(&free(&dir, &["--host", &host(), "--apply", &id]), 6);
    assert_eq!(archives(&sandbox).len(), 0);
}

/// The configuration, and the folder of the logs: another one with the same files, or the same one
/// mounted anew.
#[test]
fn h23_what_an_id_was_bound_to_is_named_when_it_is_another() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let config = sandbox.config("LOGS/*.log {\n rotate 9\n}\n");
    let call = |more: &[&str]| {
        let mut command = command();
        command.args(["free", "100%", "--max-fraction", "1", "--config"]).arg(&config);
        command.args(more).output().expect("the program starts")
    };
    let id = id_of(&call(&[]));
    sandbox.config("LOGS/*.log {\n rotate 8\n}\n");
    assert_refused(&call(&["--apply", &id]), "the configuration is another one");

    let id = id_of(&call(&[]));
    let moved = sandbox.path("moved");
    fs::rename(&dir, &moved).expect("renamed");
    fs::create_dir(&dir).expect("a folder");
    for entry in fs::read_dir(&moved).expect("a folder") {
        let path = entry.expect("an entry").path();
        fs::rename(&path, dir.join(path.file_name().expect("a name"))).expect("moved");
    }
    assert_refused(&call(&["--apply", &id]), "a folder of logs is not the one that it was");

    if is_root() {
        let id = id_of(&call(&[]));
        let mount = |program: &str, args: &[&OsStr]| {
            let done = Command::new(program).args(args).status().expect(program);
            assert!(done.success(), "{program} {args:?}");
        };
        mount("mount", &["--bind".as_ref(), dir.as_os_str(), dir.as_os_str()]);
        let output = call(&["--apply", &id]);
        mount("umount", &[dir.as_os_str()]);
        assert_refused(&output, "a folder of logs is not the one that it was");
    }
    assert_eq!(archives(&sandbox).len(), 7);
    assert_code(&call(&["--apply", &id_of(&call(&[]))]), 6);
    assert_eq!(archives(&sandbox).len(), 0);
}

#[test]
fn h23_an_id_that_had_to_wait_is_looked_at_again() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let config = sandbox.config("LOGS/*.log {\n rotate 9\n}\n");
    let (dir_name, config_name) = (dir.to_str().expect("UTF-8"), config.to_str().expect("UTF-8"));
    let short = ["free", "100%", "--max-fraction", "1", "--valid-for", "6s", dir_name];
    let held = Held::new(&dir);
    let id = id_of(&logquota(short));
    let waiting = held.waiting(&[&short[..], &["--apply", &id]].concat());
    // The real clock: what waits has begun by it, and holds within its time until here.
    std::thread::sleep(Duration::from_secs(7));
    assert_refused(&held.let_go(waiting), "it expired at");

    let call = ["free", "100%", "--max-fraction", "1", "--config", config_name];
    let held = Held::new(&dir);
    let id = id_of(&logquota(call));
    let waiting = held.waiting(&[&call[..], &["--apply", &id]].concat());
    sandbox.config("LOGS/*.log {\n rotate 8\n}\n");
    assert_refused(&held.let_go(waiting), "the configuration is another one");

    // Not what is locked, but other folders.
    let held = Held::new(&dir);
    let waiting = held.waiting(&["run", "--state", "/dev/null", config_name]);
    fs::write(&config, "/nowhere/*.log {\n rotate 1\n}\n").expect("written");
    let output = held.let_go(waiting);
    assert_code(&output, 1);
    assert!(text(&output.stderr).contains("names others now; nothing was done"));
    assert_eq!(archives(&sandbox).len(), 7);
}

#[test]
fn h23_how_long_an_id_holds_is_in_the_command_that_is_shown() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let shown = json(&free(&dir, &["--json", "--valid-for", "36h"]));
    let call = shown["free"]["command"].as_str().expect("a command");
    assert!(call.contains(" --valid-for 36h "), "{call}");
    let shown = free(&dir, &["--valid-for", "36h"]);
    let until = text(&shown.stdout);
    let until = until.split_once("once, until").expect("when").1.trim_start().to_owned();
    assert!(until.starts_with("20"), "the day, too: {until}");
    let id = id_of(&shown);
    let (rest, time) = id.rsplit_once('-').expect("parts");
    let time = i64::from_str_radix(time, 16).expect("a time");
    let old = format!("{rest}-{:x}", time - 2 * 3600);
    assert_refused(&apply(&dir, &old), "it expired at");
    let with = |id: &str| free(&dir, &["--valid-for", "36h", "--apply", id]);
    // It is not the time that refuses it.
    assert_refused(&with(&old), "are not what they were");
    assert_code(&with(&id), 6);
    assert_eq!(archives(&sandbox).len(), 0);
    for wrong in ["8d", "0s", "1", "1w"] {
        assert_code(&free(&dir, &["--valid-for", wrong]), 2);
    }
}

#[test]
fn h27_without_showing_it_needs_the_name_of_the_host() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    assert_code(&free(&dir, &["--yes"]), 2);
    assert_refused(&free(&dir, &["--yes", "--host", "elsewhere"]), "`elsewhere` was meant");
    assert_eq!(archives(&sandbox).len(), 7);
    assert_code(&free(&dir, &["--yes", "--host", &host()]), 6);
    assert_eq!(archives(&sandbox).len(), 0);
}

#[test]
fn h25_what_is_too_much_is_refused_with_the_option_that_would_allow_it() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let dir = dir.to_str().expect("UTF-8");
    for (limit, says) in [
        (&[][..], "7 of 9 files, and 50 % is the most"),
        (&["--max-fraction", "1", "--max-files", "6"], "--max-files 7 would allow it"),
        (&["--max-fraction", "1", "--max-bytes", "100k"], "--max-bytes 360448 would allow it"),
    ] {
        let shown = logquota([&["free", "100%", dir], limit].concat());
        assert_code(&shown, 5);
        assert!(text(&shown.stdout).contains(says), "{}", text(&shown.stdout));
        assert!(!text(&shown.stdout).contains("--apply"));
        let done = logquota([&["free", "100%", dir, "--yes", "--host", &host()], limit].concat());
        assert_refused(&done, says);
    }
    assert_eq!(archives(&sandbox).len(), 7);
}

#[test]
fn h25_folders_that_nobody_can_have_meant_are_refused() {
    for dir in ["/", "/etc", "/usr", "/bin", "/lib", "/var", "/home", "/root", "/proc", "/dev"] {
        if Path::new(dir).is_dir() {
            assert_refused(&free(Path::new(dir), &[]), "was refused");
        }
    }
    // Nor by another name.
    let sandbox = Sandbox::new();
    let link = sandbox.path("link");
    std::os::unix::fs::symlink("/etc", &link).expect("a link");
    assert_refused(&free(&link, &[]), "`/etc` was refused");
    assert_refused(&free(&sandbox.path("logs/../../../etc"), &[]), "`/etc` was refused");
}

#[test]
fn h22_h24_a_plan_file_works_as_for_any_other_plan() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let file = sandbox.path("plan.json");
    let name = file.to_str().expect("UTF-8");
    assert_code(&free(&dir, &["-o", name]), 6);
    let plan: Value = serde_json::from_slice(&fs::read(&file).expect("a plan")).expect("JSON");
    assert_eq!(plan["source"]["free"]["percent"], 100);
    assert_eq!(plan["source"]["free"]["max_permille"], 1000);
    assert_eq!(plan["steps"].as_array().map(Vec::len), Some(7));
    let dry = |file: &Path| logquota([OsStr::new("apply"), OsStr::new("-n"), file.as_os_str()]);
    let good = serde_json::to_vec(&plan).expect("JSON");
    let changed = sandbox.path("changed.json");
    for index in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[index] ^= 1;
        fs::write(&changed, &bad).expect("written");
        let code = dry(&changed).status.code();
        assert!(matches!(code, Some(5 | 6)), "byte {index}: {code:?} {}", text(&bad));
    }
    let mut other = plan.clone();
    other["dirs"][0]["mount"] = 0.into();
    fs::write(&changed, serde_json::to_vec(&other).expect("JSON")).expect("written");
    assert_refused(&dry(&changed), "is not the folder that it was");
    assert_eq!(archives(&sandbox).len(), 7);
    let output = logquota(["apply", "--json", name]);
    assert_code(&output, 6);
    assert_eq!(json(&output)["schema"], "logquota.apply/1");
    assert_eq!(json(&output)["free"]["deleted_files"], 7);
    assert_eq!(archives(&sandbox).len(), 0);
    assert_refused(&logquota(["apply", name]), "already applied");
}

/// The command that is shown, run by a shell as it stands, from elsewhere.
#[test]
fn h13_h15_the_command_that_is_shown_works_whatever_the_folder_is_called() {
    if needs("bash") {
        return;
    }
    for name in ["two words", "it's", "$(id)", "-n", "li\nne", "\u{1b}[2J\u{202e}x"] {
        let sandbox = Sandbox::new();
        logs(&sandbox);
        let dir = sandbox.path(name);
        fs::rename(sandbox.logs(), &dir).expect("renamed");
        let output = free(&dir, &[]);
        assert_code(&output, 6);
        let shown = text(&output.stdout);
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!shown.contains(bad), "{shown:?}");
        let call = shown.rsplit("\n\n").next().expect("the command");
        assert!(call.starts_with(BIN), "{call}");
        let done = Command::new("bash").args(["-c", call]).current_dir("/").output().expect("bash");
        assert_code(&done, 6);
        let left = fs::read_dir(&dir).expect("a folder").count();
        assert_eq!(left, 3, "{name:?}: {call}");
    }
}

#[test]
fn as_json_it_has_the_promised_shape() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let shown = json(&free(&dir, &["--json"]));
    assert_eq!(shown["schema"], "logquota.free/1");
    assert_eq!((&shown["dry_run"], &shown["freed"]), (&true.into(), &Value::Null));
    for member in ["wanted", "total", "free_before", "free_after", "shortfall"] {
        assert!(shown["free"][member].is_u64(), "{member}: {shown}");
    }
    assert_eq!(shown["free"]["not_ours"]["files"], 1);
    assert!(shown["free"]["apply_id"].as_str().is_some_and(|id| id.len() == 32));
    assert!(shown["free"]["command"].as_str().is_some_and(|call| call.contains("--apply")));
    assert_eq!(shown["steps"][0]["only_below"], shown["free"]["wanted"]);
    let done = json(&free(&dir, &["--json", "--yes", "--host", &host()]));
    assert_eq!(done["schema"], "logquota.free/1");
    assert_eq!(done["free"]["deleted_files"], 7);
    assert_eq!(done["free"]["deleted_bytes"], 352 << 10);
    assert!(done["freed"].is_i64());
}

#[test]
fn so_much_is_free_already() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let output = logquota([OsStr::new("free"), OsStr::new("1k"), dir.as_os_str()]);
    assert_code(&output, 0);
    let shown = text(&output.stdout);
    assert!(shown.contains("Nothing to do") && !shown.contains("--apply"), "{shown}");
}

/// Called as `./logquota`, it says how it is called from elsewhere.
#[test]
fn the_command_that_is_shown_finds_the_program_from_any_folder() {
    if needs("bash") {
        return;
    }
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let (folder, name) = (Path::new(BIN).parent(), Path::new(BIN).file_name());
    let (folder, name) = (folder.expect("a folder"), name.expect("a name"));
    let file = sandbox.path("plan.json");
    let script = format!(
        "./{} free 100% --max-fraction 1 {} -o {}",
        name.to_string_lossy(),
        dir.display(),
        file.display()
    );
    let shown = Command::new("bash").args(["-c", &script]).current_dir(folder).output();
    let shown = text(&shown.expect("bash").stdout);
    let calls: Vec<_> = shown.split("\n\n").filter(|part| part.starts_with(BIN)).collect();
    assert_eq!(calls.len(), 2, "{shown}");
    assert!(calls[1].trim_end().ends_with(&format!(" apply {}", file.display())), "{shown}");
    let done = Command::new("bash").args(["-c", calls[0]]).current_dir("/").output().expect("bash");
    assert_code(&done, 6);
    assert_eq!(archives(&sandbox).len(), 0);
}

/// The plan file has no room on the disk that is full: what is shown needs none.
#[test]
fn a_plan_that_cannot_be_written_is_shown_all_the_same() {
    if needs_root_to_mount() {
        return;
    }
    let (mount, dir) = full_disk();
    let file = mount.at().join("plan.json");
    let call = |more: &[&OsStr]| {
        let mut command = command();
        command.args(["free", "25%"]).args(more).arg(&dir).output().expect("the program starts")
    };
    let shown = call(&["-o".as_ref(), file.as_os_str()]);
    assert_code(&shown, 1);
    let id = id_of(&shown);
    let said = text(&shown.stderr);
    assert!(said.contains("plan.json`: No space left on device"), "{said}");
    assert!(said.contains(&format!("needs no file: `--apply {id}` does it")), "{said}");
    assert!(!text(&shown.stdout).contains("or, by the plan"), "{}", text(&shown.stdout));
    let shown = call(&["--json".as_ref(), "-o".as_ref(), file.as_os_str()]);
    assert_code(&shown, 1);
    assert!(json(&shown)["free"]["apply_id"].is_string());
    assert!(!file.exists());
    assert_code(&call(&["--apply".as_ref(), id.as_ref()]), 0);
}

/// A disk of its own, full to the last block: 8 MiB, of which 3 MiB are logs.
fn full_disk() -> (Mount, PathBuf) {
    let mount = Mount::tmpfs("size=8m");
    let dir = mount.folder("log");
    let file = |name: &str, kib: usize, age: u32| {
        fs::write(dir.join(name), noise(7, kib << 10)).expect("a log");
        set_times(&dir.join(name), std::time::SystemTime::now() - DAY * age);
    };
    file("app.log", 400, 0);
    (1..=6).for_each(|number| file(&format!("app.log.{number}"), 500, number));
    file("db.log", 100, 0);
    (1..=3).for_each(|number| file(&format!("db.log.{number}.gz"), 200, number));
    file("dump.sql", 1500, 3);
    mount.fill(false, true);
    (mount, dir)
}

/// A screen without what is another one each time.
fn plain(shown: &Output, mount: &Mount) -> String {
    let mut out = String::new();
    let at = mount.at().display().to_string();
    let name = host();
    let spaced: Vec<String> = name.chars().map(String::from).collect();
    let has_id = text(&shown.stdout).contains("--apply");
    let id = if has_id { id_of(shown) } else { String::new() };
    let call = text(&shown.stdout).replace(" \\\n    ", " ");
    for line in call.lines() {
        let line = if line.starts_with("    time ") {
            "    time     2026-11-21 18:41:36 +00:00".to_owned()
        } else if line.starts_with("    machine ") {
            "    machine  0123456789abcdef0123456789abcdef".to_owned()
        } else {
            let has_path = line.contains(&at);
            let line = line.replace(&format!("{at}/log"), "/log").replace(BIN, "logquota");
            // What stands at the right edge stays there.
            let line = match line.split_once("  ").filter(|_| has_path).and_then(|_| {
                let (head, tail) = line.trim_start().rsplit_once("   ")?;
                let indent = line.len() - line.trim_start().len();
                Some((" ".repeat(indent) + head.trim_end(), tail.trim_start().to_owned()))
            }) {
                Some((head, tail)) => format!("{head}{tail:>width$}", width = 80 - head.len()),
                None => line,
            };
            let line = line.replace(&format!(" {}", spaced.join(" ")), " w e b - 0 7");
            let line = line.replace(&format!(" {name}"), " web-07");
            match line.split_once("until ") {
                Some((head, _)) => format!("{head}until 19:41:36:"),
                None => line,
            }
        };
        let line = if id.is_empty() {
            line
        } else {
            line.replace(&id, "0123456789ab-4kq7h2v9bd-6b0235e0")
        };
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[test]
fn the_screens_on_a_full_disk() {
    if needs_root_to_mount() {
        return;
    }
    let (mount, dir) = full_disk();
    let call = |more: &[&str]| {
        let mut command = command();
        command.args(["free", "25%"]).args(more).arg(&dir).output().expect("the program starts")
    };
    let shown = call(&[]);
    assert_code(&shown, 0);
    snapbox::assert_data_eq!(plain(&shown, &mount), snapbox::file!["screens/free.txt"].raw());
    let id = id_of(&shown);
    let done = call(&["--apply", &id]);
    assert_code(&done, 0);
    snapbox::assert_data_eq!(plain(&done, &mount), snapbox::file!["screens/freed.txt"].raw());
    assert!(mount.free().0 >= 2 << 20, "{:?}", mount.free());
    let again = call(&["--apply", &id]);
    assert_code(&again, 5);
    assert!(text(&again.stderr).contains("already applied, or others made room: 2."));
}

/// The archive that goes is read by a process: its space does not come back, and the process is
/// named.
#[test]
fn h29_what_did_not_become_free_is_said_with_the_process_that_keeps_it() {
    if needs_root_to_mount() {
        return;
    }
    let (mount, dir) = full_disk();
    let held = fs::File::open(dir.join("app.log.6")).expect("opens");
    let mut child = Command::new("sleep").arg("600").stdin(held).spawn().expect("sleep");
    let args = ["free", "25%", "--yes", "--host", &host()];
    let output = command().args(args).arg(&dir).output().expect("the program starts");
    let list = |more: &[&str]| {
        let mut command = command();
        command.args(["status", "--open-deleted"]).args(more).arg(&dir);
        command.output().expect("the program starts")
    };
    let (listed, read) = (list(&["--json"]), list(&[]));
    let pid = child.id();
    child.kill().and_then(|()| child.wait().map(drop)).expect("killed");
    assert_code(&output, 6);
    snapbox::assert_data_eq!(
        plain(&output, &mount).replace(&pid.to_string(), "4711"),
        snapbox::file!["screens/held.txt"].raw()
    );
    assert_code(&listed, 0);
    let file = &json(&listed)["open_deleted"]["files"][0];
    assert_eq!((&file["pid"], &file["command"]), (&pid.into(), &"sleep".into()));
    assert_eq!(file["bytes"], 500 << 10);
    assert_code(&read, 0);
    let read = text(&read.stdout);
    let line = format!("pid {pid} (sleep): {}", dir.join("app.log.6").display());
    assert!(read.lines().any(|l| l.contains("500.0 KiB") && l.contains(&line)), "{line}: {read}");
}

/// A second name keeps the blocks: such a file is not counted on, and not deleted.
#[test]
fn h05_h29_a_file_with_two_names_is_not_counted_on() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    fs::hard_link(dir.join("app.log.4"), sandbox.path("canary")).expect("a second name");
    assert_code(&free(&dir, &["--yes", "--host", &host()]), 6);
    assert_eq!(archives(&sandbox), ["app.log.4"]);
}

/// Space is free, and no file can be made: the screen says why.
#[test]
fn h40_without_a_free_inode_it_says_so() {
    if needs_root_to_mount() {
        return;
    }
    let mount = Mount::tmpfs("size=8m,nr_inodes=32");
    let dir = mount.folder("log");
    fs::write(dir.join("app.log"), b"a line\n").expect("a log");
    mount.fill(true, false);
    let output = logquota([OsStr::new("free"), OsStr::new("1M"), dir.as_os_str()]);
    assert_code(&output, 0);
    let shown = text(&output.stdout);
    assert!(shown.contains("NO INODES") && !shown.contains("Nothing to do"), "{shown}");
}

/// Everything would go for it, and in vain.
#[test]
fn what_no_disk_of_that_size_can_have_free_is_a_usage_error() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let mut command = command();
    let output = command.args(["free", "15000000T"]).arg(&dir).output().expect("it starts");
    assert_code(&output, 2);
    let said = text(&output.stderr);
    assert!(said.contains("cannot be free: the file system has"), "{said}");
    assert_eq!(archives(&sandbox).len(), 7);
}

/// A time that lacks a digit would look as if it had expired long ago.
#[test]
fn an_id_that_was_not_copied_whole_is_a_usage_error() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let id = id_of(&free(&dir, &[]));
    for end in [id.len() - 1, id.len() - 8, 12, 3] {
        let output = apply(&dir, &id[..end]);
        assert_code(&output, 2);
        assert!(text(&output.stderr).contains("copy all of it"), "{}", text(&output.stderr));
    }
    assert_eq!(archives(&sandbox).len(), 7);
}

#[test]
fn where_there_is_too_little_it_is_said_which_archives_stay_and_why() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    fs::hard_link(dir.join("app.log.2"), sandbox.path("elsewhere")).expect("a second name");
    fs::remove_file(dir.join("db.log")).expect("a log");
    let shown = text(&free(&dir, &[]).stdout);
    let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "Archives that stay: 2 files 96.0 KiB",
        "32.0 KiB the newest of a log that is missing: its writer may have it open",
        "64.0 KiB with several names: to delete one frees nothing",
    ] {
        assert!(flat.contains(part), "`{part}` in {shown}");
    }
}
