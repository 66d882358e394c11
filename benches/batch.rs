//! Many small logs matched by one pattern, beside logrotate and `find` on the same tree.
//!
//! `cargo bench -p logquota-benches --bench batch` runs it at its full size; called with
//! `--test` (by `cargo test`, and as CI does) it runs once on a small tree, to show that it
//! works. Options stand behind `--`: `--files N`, `--one-folder`, `--rounds N`, `--dir DIR`,
//! `--no-logrotate`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use logquota_benches::{check_tree, make_tree};

/// Logs in one folder of the tree.
const FOLDER: usize = 100;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).cloned()
    };
    // `cargo test` says nothing at all; `cargo bench` says `--bench`.
    let is_test =
        args.iter().any(|arg| arg == "--test") || !args.iter().any(|arg| arg == "--bench");
    let files = value("--files").and_then(|n| n.parse().ok()).unwrap_or(if is_test {
        300
    } else {
        100_000
    });
    let one_folder = args.iter().any(|arg| arg == "--one-folder");
    let rounds = value("--rounds").and_then(|n| n.parse().ok()).unwrap_or(1);
    let keep_logrotate = !args.iter().any(|arg| arg == "--no-logrotate");
    let base = tempfile::Builder::new()
        .prefix("logquota-batch-")
        .tempdir_in(value("--dir").map_or_else(std::env::temp_dir, PathBuf::from))?;
    fs::set_permissions(base.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    println!("{files} logs, 1 % of 1 MiB, the rest below 4 KiB; {rounds} round(s)");
    for round in 0..rounds {
        run_round(base.path(), round, files, one_folder, keep_logrotate)?;
    }
    Ok(())
}

fn run_round(
    base: &Path,
    round: usize,
    files: usize,
    one_folder: bool,
    keep_logrotate: bool,
) -> io::Result<()> {
    let folder = if one_folder { files } else { FOLDER };
    let mut table = Table::default();
    let tree = base.join(format!("tree-{round}"));
    let large = make_tree(&tree, files, folder)?;
    println!("round {round}: {large} large logs");
    let find = || {
        let mut find = Command::new("find");
        find.arg(&tree).args(["-printf", "%s %b %T@ %p\n"]);
        find
    };
    table.row("find", &mut find())?;
    let find_s = table.row("find", &mut find())?;
    let mut rivals: Vec<(&str, Vec<String>)> = Vec::new();
    let config = |name: &str, more: &str| -> io::Result<String> {
        let path = base.join(format!("{name}-{round}.conf"));
        let text = format!(
            "{}/*/*.log {{\n rotate 4\n size 100k\n compress\n create\n{more}}}\n",
            tree.display()
        );
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let state = |name: &str| base.join(format!("{name}-{round}.state")).display().to_string();
    let binary = env!("CARGO_BIN_EXE_logquota-measured");
    for (name, more) in [("gzip", ""), ("zstd", " compresscmd /usr/bin/zstd\n")] {
        let args = [binary, "run", "-q", "--state", &state(name), &config(name, more)?];
        rivals.push((name, args.iter().map(ToString::to_string).collect()));
    }
    if keep_logrotate && Path::new("/usr/sbin/logrotate").exists() {
        let args = ["/usr/sbin/logrotate", "-s", &state("logrotate"), &config("logrotate", "")?];
        rivals.push(("logrotate", args.iter().map(ToString::to_string).collect()));
    }
    let mut figures: Vec<(&str, f64, f64)> = Vec::new();
    for (name, args) in &rivals {
        fs::remove_dir_all(&tree)?;
        make_tree(&tree, files, folder)?;
        // The tree's own writes must not be paid by the first who syncs.
        let _ = Command::new("sync").status();
        let command = || {
            let mut command = Command::new(&args[0]);
            command.args(&args[1..]);
            command
        };
        let first = table.row(&format!("{name} first run"), &mut command())?;
        check_tree(&tree, large, name)?;
        let noop = table.row(&format!("{name} nothing to do"), &mut command())?;
        let find_beside = table.row("find", &mut find())?;
        println!("  {name}: nothing to do / find = {:.2}", noop / find_beside);
        figures.push((name, first, noop));
    }
    print!("{}", table.text);
    if let Some((_, first, noop)) = figures.iter().find(|(name, ..)| *name == "logrotate") {
        for (name, ours_first, ours_noop) in
            figures.iter().filter(|(name, ..)| *name != "logrotate")
        {
            println!(
                "  {name}: first run {:.1} x, nothing to do {:.1} x faster than logrotate",
                first / ours_first,
                noop / ours_noop
            );
        }
    }
    println!("  find: {find_s:.3} s");
    fs::remove_dir_all(&tree)
}

/// Wall seconds, and with GNU time the rest.
#[derive(Default)]
struct Table {
    text: String,
}

impl Table {
    fn row(&mut self, name: &str, command: &mut Command) -> io::Result<f64> {
        let gnu_time = Path::new("/usr/bin/time").exists();
        let mut timed = if gnu_time {
            let mut timed = Command::new("/usr/bin/time");
            timed.args(["-q", "-f", "%U+%S s CPU, %M KiB"]).arg(command.get_program());
            timed.args(command.get_args());
            timed
        } else {
            let mut plain = Command::new(command.get_program());
            plain.args(command.get_args());
            plain
        };
        let start = Instant::now();
        let output =
            timed.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
        let wall = start.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        let _ = writeln!(self.text, "  {name:<26} {wall:>9.3} s wall  {last}  {}", output.status);
        Ok(wall)
    }
}
