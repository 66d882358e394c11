//! What does not go: logs in use, what is not ours, and what processes keep.

use std::fmt::Write as _;

use logquota::Bytes;
use logquota::error::printable;

use super::{HELD_MAX, counted, push_wrapped, row, show_held};
use crate::free::view::{Spared, View};
use crate::output::Paint;

/// So many logs in use are named where there is not enough.
const ACTIVE_MAX: usize = 3;

/// What fills the disk besides.
pub(super) fn what_stays(text: &mut String, view: &View<'_>, paint: Paint) {
    let (files, bytes, largest) = view.active(ACTIVE_MAX);
    if view.is_short() && bytes > Bytes::ZERO {
        let title = "Logs in use, never deleted:";
        let line = row(title, files, bytes).replacen(title, &paint.head(title), 1);
        let _ = writeln!(text, "\n{line}");
        for (bytes, path) in largest.iter().filter(|(bytes, _)| *bytes > Bytes::ZERO) {
            let _ = writeln!(text, "    {:>10}  {}", bytes.to_string(), printable(path));
        }
    }
    what_could_be_cut(text, view);
    what_is_not_cut(text, view, paint);
    archives(text, view, paint);
    let foreign = &view.foreign;
    if foreign.bytes > Bytes::ZERO {
        let files = usize::try_from(foreign.files).unwrap_or(usize::MAX);
        let title = "Not ours, not counted on, largest first:";
        let line = row(title, files, foreign.bytes).replacen(title, &paint.head(title), 1);
        let _ = writeln!(text, "\n{line}");
        for (bytes, path) in &foreign.largest {
            let _ = writeln!(text, "    {:>10}  {}", bytes.to_string(), printable(path));
        }
    }
    let elsewhere = view.elsewhere();
    if elsewhere > Bytes::ZERO {
        let line = format!("About {elsewhere} are used elsewhere on this file system.");
        push_wrapped(text, &line, 4);
    }
    if foreign.is_partial {
        let line = "Not all files were looked at: there are too many, or some folders could not \
                    be read.";
        push_wrapped(text, line, 4);
    }
    if !view.held.files.is_empty() {
        let title = "Deleted, and kept by a process that has them open:";
        let _ = writeln!(text, "\n{}", paint.head(title));
        show_held(text, &view.held, HELD_MAX);
    }
}

/// What `--trim-active` would gain.
fn what_could_be_cut(text: &mut String, view: &View<'_>) {
    let Some((parts, missing)) = view.could_cut() else { return };
    let bytes: Bytes = parts.values().map(|part| part.bytes).sum();
    let ends = if missing > Bytes::ZERO {
        format!("{missing} would still be missing")
    } else {
        "That would be enough".to_owned()
    };
    let line = format!(
        "--trim-active could free up to {bytes} more: the oldest records of these logs would be cut \
         off and lost, and their writers go on. {ends}:"
    );
    push_wrapped(text, &line, 4);
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by(|a, b| b.1.bytes.cmp(&a.1.bytes).then_with(|| a.0.cmp(b.0)));
    for (path, part) in parts.into_iter().take(ACTIVE_MAX) {
        let _ = writeln!(text, "    {:>10}  {}", part.bytes.to_string(), printable(path));
    }
}

/// Logs in use that no cut is made to although it is asked for, or told of.
fn what_is_not_cut(text: &mut String, view: &View<'_>, paint: Paint) {
    let spared = view.spared();
    for (why, title) in [
        (Spared::Held, "Not cut: an appender holds it, by a quota of its own"),
        (Spared::Linked, "Not cut: it has several names"),
    ] {
        let logs: Vec<_> = spared.iter().filter(|(of, ..)| *of == why).collect();
        if logs.is_empty() {
            continue;
        }
        let bytes = logs.iter().map(|(_, bytes, _)| *bytes).sum();
        let line = counted(&format!("{title}:"), (logs.len(), "log"), bytes);
        let _ = writeln!(text, "\n{}", line.replacen(title, &paint.head(title), 1));
        for (_, bytes, path) in logs.into_iter().take(ACTIVE_MAX) {
            let _ = writeln!(text, "    {:>10}  {}", bytes.to_string(), printable(path));
        }
    }
}

/// Archives that stay although there is too little.
fn archives(text: &mut String, view: &View<'_>, paint: Paint) {
    let kept = view.kept();
    if kept.is_empty() {
        return;
    }
    let title = "Archives that stay:";
    let (files, bytes) = (kept.values().map(|of| of.0).sum(), kept.values().map(|of| of.1).sum());
    let line = row(title, files, bytes).replacen(title, &paint.head(title), 1);
    let _ = writeln!(text, "\n{line}");
    for (why, (_, bytes)) in kept {
        let _ = writeln!(text, "    {:>10}  {why}", bytes.to_string());
    }
}
