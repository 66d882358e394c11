//! What `lint` says to people.

use std::fmt::Write as _;

use logquota::error::printable;
use logquota::lint::{Amount, Basis, Block, Disk, Finding, Lint, Question};
use logquota::logrotate::{Dialect, Severity};
use logquota::{Age, Bytes};

use super::WIDTH;
use super::wrap::words;
use crate::output::{Paint, clean};

/// Findings, then block by block what it can use, then the disks and a count.
pub(crate) fn lint(found: &Lint, question: &Question<'_>, paint: Paint) -> String {
    let mut text = String::new();
    for found in &found.findings {
        text.push_str(&finding(found, paint));
        text.push('\n');
    }
    if !found.blocks.is_empty() {
        let every = question.run_every.in_full();
        let growth = question
            .growth
            .map_or_else(String::new, |growth| format!(", if one log grows by {growth} in a day"));
        let head = format!("What each block can use, run every {every}{growth}:");
        push_hanging(&mut text, &head, 0, 2);
        for known in &found.blocks {
            block(&mut text, known, question, paint);
        }
        text.push('\n');
    }
    for known in &found.disks {
        disk(&mut text, known, paint);
    }
    let rules = match question.dialect {
        Dialect::Own => "read as logquota does",
        Dialect::Logrotate => "read as logrotate does",
    };
    let files = match question.parsed.files.len() {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    };
    let _ = writeln!(text, "{files} {rules}: {}.", counts(found, paint));
    text
}

/// One finding, as a compiler shows it.
pub(crate) fn finding(found: &Finding, paint: Paint) -> String {
    let what = &found.diagnostic;
    let mut place = printable(&what.file);
    if what.line > 0 {
        let _ = write!(place, ":{}:{}", what.line, what.column);
    }
    let severity = what.severity.to_string();
    let painted = match what.severity {
        Severity::Error => paint.bad(&severity),
        Severity::Warning => paint.warn(&severity),
        Severity::Note => paint.dim(&severity),
    };
    let mut text = String::new();
    let line = format!("{place}: {severity}: {} [{}]", clean(&what.message), found.code.name());
    push_hanging(&mut text, &line, 0, 2);
    // Painted afterwards: colours have no width.
    text = text.replacen(&format!(": {severity}:"), &format!(": {painted}:"), 1);
    if !what.text.is_empty() {
        let _ = writeln!(text, "    {}\n    {:caret$}^", what.text, "", caret = what.caret());
    }
    if !what.help.is_empty() {
        push_hanging(&mut text, &format!("help: {}", clean(&what.help)), 2, 8);
    }
    text
}

fn block(text: &mut String, block: &Block, question: &Question<'_>, paint: Paint) {
    let footprint = &block.footprint;
    let place = format!("{}:{}", printable(&block.place.file), block.place.line);
    let _ = writeln!(text, "\n{}", paint.head(&format!("Block {}", clean(&block.name))));
    let _ = writeln!(text, "  {}", paint.dim(&place));
    let mut logs = match footprint.logs {
        1 => "1 log".to_owned(),
        logs => format!("{logs} logs"),
    };
    if footprint.may_be_more {
        logs.push_str(" and whatever else its patterns will match");
    }
    if let Some(used) = block.used {
        let _ = write!(logs, "; {used} used now");
    }
    push_hanging(text, &logs, 2, 4);
    let after = in_words(footprint.after_run, footprint.logs, question.growth);
    let line = if footprint.missing.is_empty() {
        let basis = match footprint.basis {
            Basis::Quota => "its quota",
            Basis::GlobalQuota => "the quota of all blocks",
            Basis::Reserve => "what `reserve` leaves of the disk",
            _ => "by its rotation",
        };
        format!("right after a run: at most {after} ({basis})")
    } else if footprint.after_run == Amount::Unbounded {
        "right after a run: unbounded".to_owned()
    } else {
        format!("right after a run: unbounded: {after}")
    };
    let mut lines = String::new();
    push_hanging(&mut lines, &line, 2, 4);
    if !footprint.missing.is_empty() {
        lines = lines.replacen("unbounded", &paint.warn("unbounded"), 1);
    }
    text.push_str(&lines);
    let top = in_words(footprint.on_top, footprint.logs, question.growth);
    push_hanging(text, &format!("on top, until the next has ended: {top}"), 2, 4);
}

/// With times for each log, and the sum if one knows how a log grows.
fn in_words(amount: Amount, logs: u64, daily: Option<Bytes>) -> String {
    let Amount::AtMost { fixed, growth } = amount else { return "any amount".to_owned() };
    let seconds = growth.as_seconds();
    if seconds == 0 {
        return fixed.to_string();
    }
    let each = seconds.checked_div(logs).filter(|each| each.saturating_mul(logs) == seconds);
    let time = match each {
        Some(each) if logs > 1 => {
            format!("what {logs} logs grow in {}", Age::seconds(each).in_full())
        }
        _ => format!("what a log grows in {}", growth.in_full()),
    };
    let text = match fixed {
        Bytes::ZERO => time,
        fixed => format!("{fixed} and {time}"),
    };
    match amount.bytes(daily) {
        Some(bytes) => format!("{bytes}: {text}"),
        None => text,
    }
}

fn disk(text: &mut String, disk: &Disk, paint: Paint) {
    let percent = u128::from(disk.quotas.get()) * 100 / u128::from(disk.total.get().max(1));
    let quotas = format!("{} of {} ({percent} %)", disk.quotas, disk.total);
    let line = format!(
        "{} {}: quotas of {quotas}; {} free; {} of {} without a quota",
        "Disk",
        printable(&disk.path),
        disk.free,
        disk.without_quota,
        if disk.blocks == 1 { "1 block".to_owned() } else { format!("{} blocks", disk.blocks) },
    );
    let mut lines = String::new();
    push_hanging(&mut lines, &line, 0, 2);
    if disk.quotas > disk.total {
        lines = lines.replacen(&quotas, &paint.bad(&quotas), 1);
    }
    text.push_str(&lines);
}

fn counts(found: &Lint, paint: Paint) -> String {
    let mut parts = Vec::new();
    for (severity, one, many) in [
        (Severity::Error, "error", "errors"),
        (Severity::Warning, "warning", "warnings"),
        (Severity::Note, "note", "notes"),
    ] {
        let part = match found.count(severity) {
            0 => continue,
            1 => format!("1 {one}"),
            count => format!("{count} {many}"),
        };
        parts.push(match severity {
            Severity::Error => paint.bad(&part),
            Severity::Warning => paint.warn(&part),
            Severity::Note => part,
        });
    }
    if parts.is_empty() { "nothing to remark".to_owned() } else { parts.join(", ") }
}

/// Breaks `line` at blanks so that it fits: the first part indented by `first`, the others by
/// `rest`.
fn push_hanging(text: &mut String, line: &str, first: usize, rest: usize) {
    let mut width = first;
    text.extend(std::iter::repeat_n(' ', first));
    let mut is_empty = true;
    for word in words(line) {
        let len = word.chars().count();
        if !is_empty && width + 1 + len > WIDTH {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', rest));
            width = rest;
        } else if !is_empty {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += len;
        is_empty = false;
    }
    text.push('\n');
}
