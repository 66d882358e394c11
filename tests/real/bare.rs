//! The static binary on a system that has nothing but a full disk: no `/tmp`, `/etc`, `/proc` and
//! `/dev`, no shell and no libraries, a root that is read-only. With `LOGQUOTA_LONG=1`, as the
//! binary takes minutes to build, or with `LOGQUOTA_STATIC` set to one that is built (`.ci/run`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use logquota_tests::mounts::{Mount, needs, needs_root, system};

use crate::kit::{PATIENCE, is_long, listing, noise, said, within};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The one that was built before, or builds it, as `docs/full-disk.md` says.
fn static_binary() -> PathBuf {
    if let Some(built) = built() {
        return built;
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = workspace.join("target/static");
    let build = ["build", "--release", "--target", TARGET, "-p", "logquota-cli"];
    let status = Command::new(env!("CARGO"))
        .args(build)
        .current_dir(&workspace)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_TARGET_DIR", &target)
        .status();
    assert!(status.expect("cargo").success());
    target.join(TARGET).join("release/logquota")
}

fn built() -> Option<PathBuf> {
    std::env::var_os("LOGQUOTA_STATIC").map(PathBuf::from)
}

/// A root with the binary, a configuration, and a full disk for logs.
struct Bare {
    // In this order: what is in the other is unmounted first.
    log: Mounted,
    root: Mount,
    _disk: Mount,
}

/// A bind mount within another mount, until it is dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).status());
    }
}

impl Bare {
    fn new(binary: &Path) -> Self {
        let root = Mount::tmpfs("size=64m,mode=0755");
        fs::copy(binary, root.at().join("logquota")).expect("room for it");
        let config = "maxfiles 3\n/log/app/*.log {\n su :0 :0\n rotate 9\n}\n";
        fs::write(root.at().join("logquota.conf"), config).expect("written");
        let disk = Mount::tmpfs("size=8m,mode=0755");
        let dir = disk.folder("app");
        fs::write(dir.join("app.log"), noise("app.log", 200 << 10)).expect("written");
        for number in 1..=8 {
            let name = format!("app.log.{number}");
            fs::write(dir.join(&name), noise(&name, 400 << 10)).expect("written");
        }
        disk.fill(false, true);
        let log = root.folder("log");
        let from = disk.at();
        system("mount", [Path::new("--bind"), &from, &log]);
        root.remount("ro");
        Self { log: Mounted(log), root, _disk: disk }
    }

    /// In there, with ten descriptors, nothing to read and no environment to speak of; `out` is
    /// where the shell has it write to.
    ///
    /// Standard input is there: without it, and without `/dev/null`, Rust's runtime gives up before
    /// `main`.
    fn run(&self, args: &str, out: &str) -> Output {
        let script =
            format!("exec </dev/null {out}\nulimit -n 10\nexec chroot \"$1\" /logquota {args}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(self.root.at());
        // For chroot(1) itself.
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        within(PATIENCE, &mut command)
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.log.0.join("app")).expect("readable");
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.expect("an entry").file_name().into_string().expect("UTF-8")
        };
        let mut names: Vec<String> = names.map(name).collect();
        names.sort();
        names
    }
}

#[test]
fn h39_the_static_binary_needs_nothing_but_itself_and_frees_a_full_disk() {
    if needs_root() || needs(&["chroot", "umount"]) {
        return;
    }
    if built().is_none() && !is_long() || !cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
        println!("skipped: needs LOGQUOTA_LONG=1, and a machine that the binary is for");
        return;
    }
    let binary = static_binary();
    let bare = Bare::new(&binary);
    let seen = |output: &Output| format!("{}\n{}", said(output), listing(&bare.log.0));
    let has = |output: &Output, code: i32| {
        assert_eq!(output.status.code(), Some(code), "{}", seen(output));
    };
    // Shown, also to nobody, and nothing is done.
    let shown = bare.run("free 1M --max-fraction 1 /log/app", "");
    has(&shown, 0);
    for out in [">/dev/full 2>&1", ">/dev/full"] {
        let output = bare.run("free 1M --max-fraction 1 /log/app", out);
        assert!(output.status.code().is_some_and(|code| code < 101), "{out} {}", seen(&output));
    }
    has(&bare.run("status /log/app", ""), 0);
    assert_eq!(bare.names().len(), 9);
    // What was shown is done, though what is said of it cannot be written.
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let id = text.split_whitespace().last().expect("an id").to_owned();
    let apply = format!("free 1M --max-fraction 1 --apply {id} /log/app");
    let output = bare.run(&apply, ">/dev/full 2>&1");
    assert!(output.status.code().is_some_and(|code| code < 101), "{}", seen(&output));
    assert_eq!(bare.names().len(), 6, "{}", seen(&output));
    assert!(!bare.names().contains(&"app.log.8".to_owned()));
    // An ordinary run: the state cannot be kept, and the limits are met all the same.
    let output = bare.run("run --config /logquota.conf", "");
    assert!(output.status.code().is_some_and(|code| code < 101), "{}", seen(&output));
    assert_eq!(bare.names(), ["app.log", "app.log.1", "app.log.2"], "{}", seen(&output));
}
