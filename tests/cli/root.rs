//! `--root`: the disk of another machine, of which nothing leads out.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, RenameFlags};
use serde_json::Value;

use crate::kit::{
    BIN, DAY, Sandbox, assert_code, command, json, logquota, needs_root, noise, picture_after,
    picture_before, set_times, text,
};
use logquota_tests::mounts::{Mount, needs};

const CONFIG: &str = "/var/log/*.log {\n rotate 9\n size 1G\n}\n";

/// A disk with logs in `/data/log`, which `/var/log` leads to, and beside it what must stay as it
/// is: the same names.
struct Scene {
    sandbox: Sandbox,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { sandbox: Sandbox::new() };
        for folder in ["disk/etc/logquota.d", "disk/var", "disk/data/log", "outside/log"] {
            fs::create_dir_all(scene.path(folder)).expect("a folder");
        }
        symlink("/data/log", scene.path("disk/var/log")).expect("a link");
        scene.write("disk/etc/hostname", "shop-07\n");
        scene.write("disk/etc/machine-id", "fedcba9876543210fedcba9876543210\n");
        scene.write("disk/etc/logquota.conf", CONFIG);
        for folder in ["disk/data/log", "outside/log"] {
            scene.logs(folder);
        }
        scene.write("outside/logquota.conf", CONFIG);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    fn disk(&self) -> PathBuf {
        self.path("disk")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("written");
    }

    fn logs(&self, folder: &str) {
        let file = |name: &str, age: Duration| {
            let path = self.path(folder).join(name);
            fs::write(&path, noise(3, 32 << 10)).expect("a log");
            set_times(&path, SystemTime::now() - age);
        };
        file("app.log", Duration::ZERO);
        (1..=3).for_each(|number| file(&format!("app.log.{number}"), DAY * number));
    }

    fn free(&self, more: &[&str]) -> Output {
        let mut command = command();
        command.args(["free", "100%", "--max-fraction", "1", "--root"]).arg(self.disk());
        command.args(more).output().expect("the program starts")
    }

    fn at_once(&self, more: &[&str]) -> Output {
        self.free(&[more, &["--yes", "--host", "shop-07"]].concat())
    }

    fn archives(&self) -> usize {
        let names = fs::read_dir(self.path("disk/data/log")).expect("a folder");
        names.filter(|name| name.as_ref().is_ok_and(|name| name.file_name() != "app.log")).count()
    }

    /// Relinks `/var/log`.
    fn link_logs(&self, to: impl AsRef<Path>) {
        fs::remove_file(self.path("disk/var/log")).expect("removed");
        symlink(to, self.path("disk/var/log")).expect("a link");
    }

    /// Nothing outside was changed by `call`, and not even read.
    #[track_caller]
    fn assert_kept(&self, about: &str, call: impl FnOnce() -> Output) -> Output {
        let before = picture_before(&self.path("outside"));
        let output = call();
        assert!(before == picture_after(&self.path("outside")), "{about}: {}", said(&output));
        output
    }
}

fn said(output: &Output) -> String {
    format!("{:?}\n{}\n{}", output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn id_of(shown: &Output) -> String {
    let shown = text(&shown.stdout).replace(" \\\n    ", " ");
    let id = shown.split("--apply ").nth(1).and_then(|rest| rest.split_whitespace().next());
    id.unwrap_or_else(|| panic!("no id: {shown}")).to_owned()
}

fn assert_refused(output: &Output, says: &str) {
    assert_code(output, 5);
    assert!(text(&output.stderr).contains(says), "{}", said(output));
}

#[test]
fn the_disk_of_another_machine_is_freed_by_its_own_configuration_and_paths() {
    let scene = Scene::new();
    let ran = scene.path("ran");
    let script = format!(" preremove\n echo > {}\n endscript\n", ran.display());
    scene.write("disk/etc/logquota.conf", "include /etc/logquota.d\n");
    scene.write("disk/etc/logquota.d/app", CONFIG.replace(" size", &format!("{script} size")));
    let shown = scene.assert_kept("shown", || scene.free(&[]));
    assert_code(&shown, 6);
    let said = text(&shown.stdout);
    let joined = said.replace(" \\\n    ", " ");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for part in [
        "    s h o p - 0 7\n",
        "    DISK OF  shop-07\n",
        "    machine  fedcba9876543210fedcba9876543210\n",
        &format!("    mounted  {}\n", scene.disk().display()),
        &format!("    on host  {host}\n"),
        "/var/log/app.log: 3 of 3 archives",
        "Nothing that this disk's configuration names is run here: preremove.",
        "--config /etc/logquota.conf",
        &format!("--root {}", scene.disk().display()),
        "--host shop-07 --apply",
    ] {
        assert!(joined.contains(part), "`{part}` in {said}");
    }
    let id = id_of(&shown);
    let done = scene.assert_kept("done", || scene.free(&["--host", "shop-07", "--apply", &id]));
    assert_code(&done, 6);
    let said = text(&done.stdout);
    assert!(said.contains("3 files deleted"), "{said}");
    assert!(said.contains("Nothing that this disk's configuration names was run here: preremove."));
    assert_eq!(scene.archives(), 0);
    assert!(scene.path("disk/data/log/app.log").exists() && !ran.exists());
}

/// The name in large is the one to be typed, and not that of the host it is typed on.
#[test]
fn h23_the_host_that_is_meant_is_that_whose_disk_it_is() {
    let scene = Scene::new();
    let here = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let id = id_of(&scene.free(&[]));
    for wrong in [here.as_str(), "shop-08", "fedcba9876543210fedcba9876543210", ""] {
        let says = format!("is that of `shop-07`, and `{wrong}` was meant; nothing was done");
        assert_refused(&scene.free(&["--yes", "--host", wrong]), &says);
        assert_refused(&scene.free(&["--apply", &id, "--host", wrong]), &says);
    }
    // Without a name it is the id of the machine.
    fs::remove_file(scene.path("disk/etc/hostname")).expect("removed");
    let machine = "fedcba9876543210fedcba9876543210";
    let says = format!("is that of `{machine}`, and `shop-07` was meant");
    assert_refused(&scene.at_once(&[]), &says);
    let shown = text(&scene.free(&[]).stdout);
    assert!(
        shown.replace(" \\\n    ", " ").contains(&format!("--host {machine} --apply")),
        "{shown}"
    );
    // Without both only what was shown can be done.
    fs::remove_file(scene.path("disk/etc/machine-id")).expect("removed");
    assert_refused(&scene.at_once(&[]), "has no name and no machine id, and `shop-07` was meant");
    let shown = scene.free(&[]);
    assert!(!text(&shown.stdout).contains("--host"), "{}", said(&shown));
    // A name that looks like an option is none.
    scene.write("disk/etc/hostname", "--yes\n");
    let strange = scene.free(&[]);
    assert!(text(&strange.stdout).contains("--host=--yes"), "{}", said(&strange));
    assert_code(&scene.free(&["--host=--yes", "--apply", &id_of(&strange)]), 6);
    assert_eq!(scene.archives(), 0);
}

#[test]
fn a_directory_on_the_disk_is_named_by_its_path_there() {
    let scene = Scene::new();
    let shown = scene.free(&["/var/log"]);
    assert_code(&shown, 6);
    assert!(text(&shown.stdout).contains("/var/log/app.log: 3 of 3"), "{}", said(&shown));
    let inside = scene.path("disk/var/log");
    let wrong = scene.free(&[inside.to_str().expect("UTF-8")]);
    assert_code(&wrong, 2);
    assert!(text(&wrong.stderr).contains("those on that disk: `/var/log`"), "{}", said(&wrong));
    assert_code(&scene.free(&["var/log"]), 2);
    for never in ["/", "/etc", "/var/log/../../etc", "/var/log/../.."] {
        assert_refused(&scene.free(&[never]), "was refused");
    }
}

/// Freed there would be this host, by a screen that says it is another one.
#[test]
fn h23_this_system_by_another_name_is_no_disk_of_another_machine() {
    let scene = Scene::new();
    let refused = |root: &Path, says: &str| {
        let output = command().args(["free", "1k", "--root"]).arg(root).output();
        let output = output.expect("the program starts");
        assert_code(&output, 2);
        assert!(text(&output.stderr).contains(says), "{}: {}", root.display(), said(&output));
    };
    let link = scene.path("link");
    symlink("/", &link).expect("a link");
    for root in ["/", "/.", "/usr/..", "/proc/self/root", link.to_str().expect("UTF-8")] {
        refused(Path::new(root), "it is the root of this system itself");
    }
    // The folder, where the disk was not mounted.
    refused(&scene.path("outside"), "nothing is mounted there, and it has no /etc");
    if !needs_root() {
        let view = Mount::read_only_view(Path::new("/"));
        refused(&view.at(), "it is the root of this system itself");
        let empty = Mount::tmpfs("size=1m");
        refused(&empty.at(), "has no /etc/logquota.conf");
    }
}

#[test]
fn h01_h03_no_link_on_the_disk_leads_out_of_it() {
    let scene = Scene::new();
    let outside = scene.path("outside");
    let absolute = outside.join("log");
    for link in [absolute.as_path(), Path::new("../../outside/log"), Path::new("../../../../etc")] {
        scene.link_logs(link);
        let output = scene.assert_kept("the logs", || scene.at_once(&[]));
        assert!(matches!(output.status.code(), Some(1 | 6)), "{link:?}: {}", said(&output));
        let output = scene.assert_kept("the directory", || scene.at_once(&["/var/log"]));
        assert!(matches!(output.status.code(), Some(1 | 2 | 4 | 5)), "{link:?}: {}", said(&output));
    }
    scene.link_logs("/data/log");

    // The configuration itself, and what it includes.
    let config = scene.path("disk/etc/logquota.conf");
    for link in [outside.join("logquota.conf"), "../../outside/logquota.conf".into()] {
        fs::remove_file(&config).expect("removed");
        symlink(&link, &config).expect("a link");
        let output = scene.assert_kept("the configuration", || scene.at_once(&[]));
        assert!(matches!(output.status.code(), Some(2 | 4)), "{link:?}: {}", said(&output));
    }
    fs::remove_file(&config).expect("removed");
    symlink(&outside, scene.path("disk/etc/more.d")).expect("a link");
    for include in [
        outside.display().to_string(),
        "/etc/more.d".to_owned(),
        "/../outside/logquota.conf".to_owned(),
        "/etc/../../outside/logquota.conf".to_owned(),
    ] {
        scene.write("disk/etc/logquota.conf", format!("include {include}\n"));
        let output = scene.assert_kept(&include, || scene.at_once(&[]));
        assert!(matches!(output.status.code(), Some(1 | 4)), "{include}: {}", said(&output));
    }

    // Patterns, and folders for archives.
    symlink(&outside, scene.path("disk/var/evil")).expect("a link");
    symlink("../../outside", scene.path("disk/var/near")).expect("a link");
    for pattern in [
        "/var/*/*/app.log".to_owned(),
        "/var/evil/log/*.log".to_owned(),
        "/var/near/log/app.log".to_owned(),
        "/../outside/log/*.log".to_owned(),
        "/var/../../outside/log/app.log".to_owned(),
        format!("{}/log/*.log", outside.display()),
    ] {
        scene.write("disk/etc/logquota.conf", CONFIG.replace("/var/log/*.log", &pattern));
        let output = scene.assert_kept(&pattern, || scene.at_once(&[]));
        assert_ne!(output.status.code(), Some(0), "{pattern}");
    }
    for old in ["/var/evil/log", "/var/near/log", "../../outside/log"] {
        let text = CONFIG.replace(" size", &format!(" olddir {old}\n size"));
        scene.write("disk/etc/logquota.conf", text);
        let output = scene.assert_kept(old, || scene.at_once(&[]));
        assert_ne!(output.status.code(), Some(0), "{old}");
    }
    assert_eq!(scene.archives(), 3, "nothing of all that was freed");
}

/// A folder is a link to the outside, where all the same names are, in every other moment.
#[test]
fn h02_nothing_outside_is_touched_while_a_folder_is_swapped_for_a_link_to_it() {
    let scene = Scene::new();
    scene.write("disk/etc/logquota.conf", CONFIG.replace("/var/log", "/data/log"));
    symlink(scene.path("outside/log"), scene.path("disk/data/link")).expect("a link");
    let (log, link) = (scene.path("disk/data/log"), scene.path("disk/data/link"));
    let held = fs::File::open(&log).expect("the folder");
    let inside = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held));
    let is_over = AtomicBool::new(false);
    let before = picture_before(&scene.path("outside"));
    let mut freed = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &log, CWD, &link, RenameFlags::EXCHANGE)
                    .expect("swapped");
                std::thread::yield_now();
            }
        });
        for _ in 0..60 {
            let archive = Path::new(&inside).join("app.log.1");
            fs::write(&archive, noise(5, 8 << 10)).expect("an archive");
            scene.at_once(&[]);
            freed += u32::from(!archive.exists());
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(freed > 0, "no run ever found the folder");
    assert!(before == picture_after(&scene.path("outside")));
}

#[test]
fn h23_a_plan_is_for_the_disk_that_it_was_made_for() {
    let scene = Scene::new();
    let file = scene.path("plan.json");
    let name = file.to_str().expect("UTF-8");
    let shown = scene.free(&["-o", name]);
    assert_code(&shown, 6);
    let id = id_of(&shown);
    let plan: Value = serde_json::from_slice(&fs::read(&file).expect("a plan")).expect("JSON");
    assert_eq!(plan["source"]["root"]["host"], "shop-07");
    let apply = || logquota(["apply", name]);

    // The disk of another machine under the same path.
    scene.write("disk/etc/hostname", "shop-08\n");
    assert_refused(&apply(), "was that of `shop-07`, and is another machine's now: `shop-08`");
    assert_refused(&scene.free(&["--apply", &id]), "or for the disk of another one");
    scene.write("disk/etc/hostname", "shop-07\n");
    scene.write("disk/etc/machine-id", "0000000000000000fedcba9876543210\n");
    assert_refused(&apply(), "another machine's now");
    scene.write("disk/etc/machine-id", "fedcba9876543210fedcba9876543210\n");

    // Its files are still there: what this host has under their names says nothing.
    scene.write("disk/data/log/app.log.4", noise(3, 32 << 10));
    assert_refused(&apply(), "the plan was refused: step 1 was: delete /var/log/app.log.3");
    fs::remove_file(scene.path("disk/data/log/app.log.4")).expect("removed");

    // A copy of it.
    fs::rename(scene.disk(), scene.path("original")).expect("renamed");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([scene.path("original"), scene.disk()])
        .status();
    assert!(copied.expect("cp").success());
    assert_refused(&apply(), "is not the disk that it was");
    assert_refused(&scene.free(&["--apply", &id]), "a folder of logs is not the one that it was");
    fs::rename(scene.disk(), scene.path("copy")).expect("renamed");
    assert_refused(&apply(), "No such file or directory");
    fs::rename(scene.path("original"), scene.disk()).expect("renamed");

    // Without the disk the paths are this machine's.
    let mut other = plan.clone();
    other["source"].as_object_mut().expect("an object").remove("root");
    let changed = scene.path("changed.json");
    fs::write(&changed, serde_json::to_vec(&other).expect("JSON")).expect("written");
    let refused = logquota([Path::new("apply"), &changed]);
    assert!(refused.status.code() == Some(5), "{}", said(&refused));
    let mut other = plan;
    other["source"].as_object_mut().expect("an object").remove("free");
    fs::write(&changed, serde_json::to_vec(&other).expect("JSON")).expect("written");
    assert_refused(&logquota([Path::new("apply"), &changed]), "nothing else done");

    assert_eq!(scene.archives(), 3);
    assert_code(&apply(), 6);
    assert_eq!(scene.archives(), 0);
}

/// What is a home, or holds homes, by where its links lead.
#[test]
fn h25_homes_that_are_links_are_homes() {
    let scene = Scene::new();
    let passwd = "ann:x:1001:1001::/home/ann:/bin/sh\nbob:x:1002:1002::/var/bob:/bin/sh\n";
    scene.write("disk/etc/passwd", passwd);
    for folder in ["disk/data/home/ann/log", "disk/data/people/bob"] {
        fs::create_dir_all(scene.path(folder)).expect("folders");
        scene.logs(folder);
    }
    symlink("/data/home", scene.path("disk/home")).expect("a link");
    symlink("../data/people/bob", scene.path("disk/var/bob")).expect("a link");
    for home in
        ["/home", "/data/home", "/home/ann", "/data/home/ann", "/var/bob", "/data/people/bob"]
    {
        assert_refused(&scene.at_once(&[home]), "it is a home, or holds homes");
    }
    assert_code(&scene.at_once(&["/home/ann/log"]), 6);
    assert_eq!(fs::read_dir(scene.path("disk/data/people/bob")).expect("a folder").count(), 4);
}

/// A file system of this host that is given for another machine's disk.
#[test]
fn h25_what_is_refused_on_this_host_is_refused_below_a_root_too() {
    let run = |dir: &str| {
        let mut command = command();
        command.args(["free", "1k", "--root", "/proc", dir]);
        command.output().expect("the program starts")
    };
    // By these names it could be anything.
    for dir in ["/self", "/self/task", "/self/../self/fdinfo"] {
        assert_refused(&run(dir), "it is a folder of the system");
    }
    if needs_root() || needs(&["unshare"]) {
        return;
    }
    if !Path::new("/home").is_dir() {
        println!("skipped: needs /home");
        return;
    }
    // Other homes in place of those that are here, where the program itself may be.
    let script = "
        exec 3< \"$1\"
        mount -t tmpfs none /home && cd /home && mkdir -p etc ann/log && echo shop-07 > etc/hostname
        for dir in ann ann/log; do echo 1 > $dir/app.log; echo 2 > $dir/app.log.1; done
        /proc/self/fd/3 free 100% --max-fraction 1 --root /home --yes --host shop-07 \"$2\"
        echo $? && ls ann ann/log";
    let free = |dir: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh", BIN, dir]).output().expect("it starts")
    };
    for home in ["/ann", "/ann/log/.."] {
        let refused = free(home);
        let (told, seen) = (text(&refused.stderr), text(&refused.stdout));
        assert!(told.contains("`/ann` was refused: it is a home, or holds homes"), "{told}{seen}");
        assert_eq!(seen.matches("app.log.1").count(), 2, "{told}{seen}");
        assert!(seen.starts_with("5\n"), "{told}{seen}");
    }
    // Logs in there may be meant.
    let freed = free("/ann/log");
    let seen = text(&freed.stdout);
    assert!(seen.ends_with("ann/log:\napp.log\n"), "{}", said(&freed));
}

/// Names of users and groups are those of the disk; what is compared is their numbers.
#[test]
fn users_are_those_of_the_disk() {
    if needs_root() {
        return;
    }
    let scene = Scene::new();
    let text = CONFIG.replace(" size", " su only-there only-there\n size");
    scene.write("disk/etc/logquota.conf", &text);
    assert_code(&scene.free(&[]), 4);
    scene.write("disk/etc/passwd", "only-there:x:4321:4321::/home/x:/bin/sh\n");
    scene.write("disk/etc/group", "only-there:x:4321:\n");
    // Whoever it is here may not write to a folder of root's.
    let output = scene.at_once(&[]);
    assert!(text_of(&output).contains("app.log.3"), "{}", said(&output));
    assert_eq!(scene.archives(), 3);
    let log = scene.path("disk/data/log");
    fs::set_permissions(scene.path("."), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("its mode");
    std::os::unix::fs::chown(&log, Some(4321), Some(4321)).expect("its owner");
    assert_code(&scene.at_once(&[]), 6);
    assert_eq!(scene.archives(), 0);
}

fn text_of(output: &Output) -> String {
    text(&output.stderr)
}

#[test]
fn status_shows_the_disk_by_its_own_state() {
    let scene = Scene::new();
    fs::create_dir_all(scene.path("disk/var/lib/logquota")).expect("a folder");
    let output = command()
        .args(["status", "--root"])
        .arg(scene.disk())
        .env("LOGQUOTA_CONFIG", "/nonexistent")
        .output()
        .expect("the program starts");
    assert_code(&output, 0);
    let shown = text(&output.stdout);
    let head = format!("Disk of shop-07, mounted at {} on host ", scene.disk().display());
    assert!(shown.starts_with(&head), "{shown}");
    assert!(shown.contains("/var/log") && !shown.contains("/data/log"), "{shown}");
    let output = logquota(["status", "--json", "--root", scene.disk().to_str().expect("UTF-8")]);
    assert_eq!(json(&output)["root"]["host"], "shop-07");
    assert_eq!(json(&output)["sets"][0]["logs"][0]["path"], "/var/log/app.log");
}
