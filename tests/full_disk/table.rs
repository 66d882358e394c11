//! The table of all rows, which `docs/full-disk.md` shows.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use logquota_tests::mounts::needs_root;

use crate::row::{self, By, Full, GoesOn, Outcome, Row};

/// A line of the table. What is measured stands at its end, behind what is [`STABLE`].
fn line(row: &Row, outcome: &Outcome) -> String {
    let full = match row.full {
        Full::Block => "block",
        Full::Inode => "inode",
    };
    let by = match row.by {
        By::Archives => "archives",
        By::Log => "one log",
        By::Others => "others' files",
    };
    let goes_on = match outcome.goes_on {
        GoesOn::Always => "was not held up",
        GoesOn::AfterFree => "after `free`",
        GoesOn::AfterRun => "after `run`",
        GoesOn::AfterOthers => "when others give room",
    };
    let Outcome { shown, applied, run, freed, cut, has_file, .. } = outcome;
    let file = if *has_file { "yes" } else { "no" };
    let mib = |bytes: f64| format!("{:.1} MiB", bytes / f64::from(1 << 20));
    let (freed, cut) = (mib(*freed as f64), mib(*cut as f64));
    let name = row.disk.0;
    format!(
        "| {name} | {full} | {by} | {shown} | {applied} | {run} | {file} | {goes_on} | {freed} | \
         {cut} |"
    )
}

/// Columns that are the same in every run; the first is before the first bar, and empty.
const STABLE: usize = 9;

fn stable(line: &str) -> Vec<&str> {
    line.split('|').map(str::trim).take(STABLE).collect()
}

/// Each of `rows`, two at a time.
fn outcomes(rows: &[Row]) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let lines = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((index, row)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    rows.get(index).map(|row| (index, row))
                } {
                    let line = line(row, &row.outcome());
                    println!("{line}");
                    lines.lock().expect("whole").push((index, line));
                }
            });
        }
    });
    let mut lines = lines.into_inner().expect("whole");
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

#[test]
fn h37_h40_h41_h45_each_full_disk_is_what_the_table_in_the_docs_says() {
    if needs_root() {
        return;
    }
    let picked = std::env::var("LOGQUOTA_ROW").unwrap_or_default();
    let rows: Vec<Row> = row::all().filter(|row| row.about().contains(&picked)).collect();
    let found = outcomes(&rows);
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/full-disk.md");
    let docs = std::fs::read_to_string(docs).expect("the docs");
    let told: Vec<&str> = docs.lines().filter(|line| stable(line).len() == STABLE).collect();
    let missing: Vec<&String> =
        found.iter().filter(|line| !told.iter().any(|told| stable(told) == stable(line))).collect();
    assert!(missing.is_empty(), "not in docs/full-disk.md:\n{missing:#?}\n{}", found.join("\n"));
}
