//! The appender beside what users would pick instead, in one run and one after the other.
//!
//! `cargo bench -p logquota-benches --bench appender --features rivals` measures everything;
//! called with `--test` (by `cargo test`, and as CI does) it runs all of it at tiny sizes,
//! and checks that what was written is there. Without the feature the crates that it is
//! compared with are left out. Options stand behind `--`:
//!
//! - `--list`: the rows. `--only ROW`: that row, or those with that in their names.
//! - `--rounds N`: 5 if nothing is said. `--mib N`: in place of each row's own amount.
//!   `--seconds N`: of a paced run, four times that of a queue that drops. `--dir DIR`: where to write; a folder on a disk.

mod args;
mod child;
mod floor;
mod footprint;
mod ours;
mod pipe;
mod records;
mod report;
#[cfg(feature = "rivals")]
mod rivals;
mod rows;
mod run;
mod subject;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::child::Order;
use crate::records::{Class, Records};
use crate::run::Scale;

fn main() -> io::Result<()> {
    let args = Args::of_process();
    if args.has("--child") {
        let order = Order::from_args(&args);
        return if pipe::is_ours(&order.subject) { pipe::run(&order) } else { child::run(&order) };
    }
    let mut rows = rows::all();
    if let Some(only) = args.get::<String>("--only") {
        let is_exact = rows.iter().any(|row| row.name == only);
        rows.retain(|row| if is_exact { row.name == only } else { row.name.contains(&only) });
    }
    if args.has("--list") {
        for row in rows {
            println!("{:<20} {}", row.name, row.about);
        }
        return Ok(());
    }
    // `cargo test` says nothing at all; `cargo bench` says `--bench`.
    let is_test = args.has("--test") || !args.has("--bench");
    let scale = Scale {
        rounds: args.get("--rounds").unwrap_or(if is_test { 1 } else { 5 }),
        mib: args.get("--mib").or(is_test.then_some(1)),
        time: Duration::from_secs_f64(args.get("--seconds").unwrap_or(if is_test {
            0.05
        } else {
            8.0
        })),
        is_test,
    };
    let base = tempfile::Builder::new()
        .prefix("logquota-appender-")
        .tempdir_in(args.get("--dir").unwrap_or_else(std::env::temp_dir))?;
    introduce(&base.path().to_owned(), scale);
    for row in &rows {
        let start = Instant::now();
        let found = run::run(row, scale, base.path())?;
        report::row(row, &found);
        println!("\n({} rounds, {:.0} s)", scale.rounds, start.elapsed().as_secs_f64());
    }
    Ok(())
}

fn introduce(dir: &PathBuf, scale: Scale) {
    let first = |path: &str, field: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(field)).unwrap_or_default();
        line.rsplit(": ").next().unwrap_or_default().to_owned()
    };
    let kind = Command::new("stat").args(["-f", "-c", "%T"]).arg(dir).output();
    let kind = kind.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    println!(
        "{} x {}, Linux {}, {}; {} round(s){}",
        std::thread::available_parallelism().map_or(0, usize::from),
        first("/proc/cpuinfo", "model name"),
        first("/proc/sys/kernel/osrelease", ""),
        kind.unwrap_or_default(),
        scale.rounds,
        if cfg!(feature = "rivals") { "" } else { "; built without its rivals" },
    );
    for class in [Class::Lines, Class::Traces] {
        println!("{}: {:.0} bytes at the mean", class.name(), Records::new(class).mean());
    }
}
