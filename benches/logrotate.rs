//! The mode in place of logrotate beside the original: the same configuration, the same logs.
//!
//! `cargo bench -p logquota-benches --bench logrotate` runs it at its full size; called with
//! `--test` (by `cargo test`, and as CI does) it runs once on a small tree, to show that it
//! works. Options stand behind `--`: `--files N`, `--rounds N`, `--dir DIR`. Both programs run
//! in turn, each on a tree of its own; figures are wall seconds of whole processes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use logquota_benches::{check_tree, make_tree};

const THEIRS: &str = "/usr/sbin/logrotate";
const OURS: &str = env!("CARGO_BIN_EXE_logquota-measured");

/// Pairs of figures by row, the original's first.
type Figures = BTreeMap<(usize, String), Vec<[f64; 2]>>;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).cloned()
    };
    let number = |name: &str| value(name).and_then(|value| value.parse::<usize>().ok());
    // `cargo test` says nothing at all; `cargo bench` says `--bench`.
    let is_test =
        args.iter().any(|arg| arg == "--test") || !args.iter().any(|arg| arg == "--bench");
    if !Path::new(THEIRS).exists() {
        println!("{THEIRS} is not installed: there is nothing to measure beside");
        return Ok(());
    }
    let (files, rounds) = if is_test { (300, 1) } else { (10_000, 5) };
    let (files, rounds) =
        (number("--files").unwrap_or(files), number("--rounds").unwrap_or(rounds));
    let base = tempfile::Builder::new()
        .prefix("logquota-logrotate-")
        .tempdir_in(value("--dir").map_or_else(std::env::temp_dir, PathBuf::from))?;
    fs::set_permissions(base.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    println!("{files} logs, 1 % of 1 MiB, the rest below 4 KiB; {rounds} round(s)");
    let mut figures = Figures::new();
    for round in 0..rounds {
        for (row, naming) in ["", "dateext"].into_iter().enumerate() {
            many(base.path(), round, files, (row * 10, naming), &mut figures)?;
        }
        one(base.path(), if is_test { 3 } else { 100 }, &mut figures)?;
    }
    show(&figures);
    Ok(())
}

/// Wall seconds of one process, which has to end well.
fn time(program: &str, args: &[&str]) -> io::Result<f64> {
    let mut command = Command::new(program);
    if program == OURS {
        command.arg("logrotate");
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let wall = start.elapsed().as_secs_f64();
    assert!(status.success(), "{program} {args:?}: {status}");
    Ok(wall)
}

/// A run that has something to do, one that has not, and one that rotates all.
fn many(
    base: &Path,
    round: usize,
    files: usize,
    (row, naming): (usize, &str),
    figures: &mut Figures,
) -> io::Result<()> {
    let mut walls = [[0.0; 2]; 3];
    let mut order = [(0, THEIRS), (1, OURS)];
    if round % 2 == 1 {
        order.reverse();
    }
    for (at, program) in order {
        let tree = base.join("tree");
        let large = make_tree(&tree, files, files)?;
        let (conf, state) = (base.join("conf"), base.join("state"));
        let pattern = tree.join("*/*.log");
        let text = format!(
            "{} {{\n rotate 4\n size 100k\n compress\n create\n {naming}\n}}\n",
            pattern.display()
        );
        fs::write(&conf, text)?;
        let _ = Command::new("sync").status();
        let (conf, state) = (conf.display().to_string(), state.display().to_string());
        walls[0][at] = time(program, &["-s", &state, &conf])?;
        check_tree(&tree, large, program)?;
        walls[1][at] = time(program, &["-s", &state, &conf])?;
        fs::remove_dir_all(&tree)?;
        make_tree(&tree, files, files)?;
        walls[2][at] = time(program, &["-f", "-s", &state, &conf])?;
        fs::remove_dir_all(&tree)?;
        fs::remove_file(&state)?;
    }
    let words = ["first run", "nothing to do", "all of them, with -f"];
    for (index, (word, walls)) in words.into_iter().zip(walls).enumerate() {
        let name = format!("{word} {naming}");
        figures.entry((row + index, name.trim_end().to_owned())).or_default().push(walls);
    }
    Ok(())
}

/// One log and nothing to do: start to exit.
fn one(base: &Path, times: usize, figures: &mut Figures) -> io::Result<()> {
    let (log, conf) = (base.join("one.log"), base.join("one.conf"));
    fs::write(&log, "a line\n")?;
    fs::write(&conf, format!("{} {{\n rotate 4\n size 100k\n}}\n", log.display()))?;
    let conf = conf.display().to_string();
    let mut walls = [0.0; 2];
    for _ in 0..times {
        for (wall, program) in walls.iter_mut().zip([THEIRS, OURS]) {
            let state = base.join("one.state").display().to_string();
            *wall += time(program, &["-s", &state, &conf])? / times as f64;
        }
    }
    figures.entry((90, "one log, nothing to do".to_owned())).or_default().push(walls);
    Ok(())
}

/// Medians, and how much faster ours is by round.
fn show(figures: &Figures) {
    println!("\n| | logrotate | logquota logrotate | times faster |");
    println!("| --- | ---: | ---: | ---: |");
    for ((_, name), rounds) in figures {
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            (values[values.len() / 2], values[0], values[values.len() - 1])
        };
        let theirs = median(rounds.iter().map(|walls| walls[0]).collect()).0;
        let ours = median(rounds.iter().map(|walls| walls[1]).collect()).0;
        let (ratio, least, most) = median(rounds.iter().map(|walls| walls[0] / walls[1]).collect());
        println!(
            "| {name} | {theirs:.4} s | {ours:.4} s | **{ratio:.2}** ({least:.2} to {most:.2}) |"
        );
    }
}
