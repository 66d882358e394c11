//! The table of `status`.

use std::fmt::Write as _;

use chrono::{DateTime, FixedOffset, NaiveDateTime};
use logquota::clock;
use logquota::error::printable;
use logquota::plan::{Host, NextDue};

use super::folder_line;
use crate::output::{Paint, clean};
use crate::status::{BallastRow, LogRow, SetRow};

/// Per set one line, and under it one line per log.
pub(crate) fn status(
    host: &Host,
    now: DateTime<FixedOffset>,
    sets: &[SetRow],
    ballasts: &[BallastRow],
    paint: Paint,
) -> String {
    let at = now.format("%Y-%m-%d %H:%M:%S %:z");
    let mut text = format!("{}: {at}\n", paint.head(&super::whose(host)));
    for set in sets {
        let used = match set.quota {
            Some(quota) => {
                let percent = u128::from(set.used.get()) * 100 / u128::from(quota.get().max(1));
                let used = format!("{} of {quota} used ({percent} %)", set.used);
                if set.used > quota { paint.bad(&used) } else { used }
            }
            None => format!("{} used, no quota", set.used),
        };
        let _ = writeln!(
            text,
            "\n{}\n  {used}, {} {}, {} free on the disk",
            paint.head(&format!("Set {}", clean(&set.name))),
            set.files,
            if set.files == 1 { "file" } else { "files" },
            set.free
        );
        if set.logs.is_empty() {
            text.push_str("  no logs\n");
            continue;
        }
        let head = row("USED", "FILES", "OLDEST", "NEWEST", "NEXT DUE", "LOG");
        let _ = writeln!(text, "{}", paint.dim(&head));
        let mut folder = None;
        for log in &set.logs {
            folder_line(&mut text, &log.path, &mut folder);
            let _ = writeln!(text, "{}", log_row(log));
        }
    }
    text.push_str(&super::ballast::status(ballasts, paint));
    text
}

fn log_row(log: &LogRow) -> String {
    let day = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), local_day);
    let due = if log.blocked { "left alone".to_owned() } else { due(&log.next) };
    row(
        &log.used.to_string(),
        &log.files.to_string(),
        &day(log.oldest),
        &day(log.newest),
        &due,
        &log.path.file_name().map(printable).unwrap_or_default(),
    )
}

/// The log's name is last: it may be of any length.
fn row(used: &str, files: &str, oldest: &str, newest: &str, due: &str, log: &str) -> String {
    format!("{used:>11} {files:>5}  {oldest:<10}  {newest:<10}  {due:<16}  {log}")
}

fn due(next: &NextDue) -> String {
    match next {
        NextDue::Now => "now".to_owned(),
        NextDue::At(at) => minute(*at),
        NextDue::Size(limit) => format!("at {limit}"),
        _ => "-".to_owned(),
    }
}

fn minute(at: NaiveDateTime) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

/// Times of files may be anything; what no calendar has is shown as it is.
fn local_day(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0)
        .map_or_else(|| seconds.to_string(), |at| clock::local(at).format("%Y-%m-%d").to_string())
}
