//! The screens of `free`: for a person under pressure, on the right host or the wrong one.

use std::fmt::Write as _;
use std::path::Path;

use logquota::Bytes;
use logquota::apply::Report;
use logquota::error::printable;
use logquota::fs::os::OpenDeletedFiles;
use logquota::plan::{Host, Wanted};

use super::{DO, WIDTH, describe, push_wrapped, reason, show_folder, show_step};
use crate::free::outcome::Outcome;
use crate::free::view::{Kind, Part, View};
use crate::free::{amount, call, missing};
use crate::output::{Paint, clean};
use crate::root;
use crate::session::Session;

mod stays;

/// So many logs of one kind are named without `-v`.
const LOGS_MAX: usize = 8;

/// So many deleted files are named.
const HELD_MAX: usize = 5;

/// What it would take.
pub(crate) fn preview(view: &View<'_>, paint: Paint, verbose: bool) -> String {
    let mut text = banner(&view.session.host, view.session, paint);
    sums(&mut text, view, paint);
    inodes(&mut text, view, paint);
    if view.plan.steps.is_empty() {
        let is_of_space = view.goal.wanted.inodes().is_none();
        let line = match (!view.is_short(), is_of_space && view.has_no_inode()) {
            (true, false) => "Nothing to do: so much is free.",
            (true, true) => "So much is free: it is inodes that are missing, not space.",
            (false, _) => "Nothing can go.",
        };
        let _ = writeln!(text, "\n{}", paint.head(line));
    } else {
        let _ = writeln!(text, "\n{}", paint.head("This would go, in this order:"));
    }
    for (kind, number) in Kind::ALL.into_iter().filter(|k| !view.parts(*k).is_empty()).zip(1..) {
        show_kind(&mut text, view, (kind, number), verbose, paint);
    }
    if verbose && !view.plan.steps.is_empty() {
        let _ = writeln!(text, "\n{}", paint.head("Step by step:"));
        let mut folder = None;
        for (number, step) in view.plan.steps.iter().enumerate() {
            show_folder(&mut text, view.plan, step, &mut folder);
            let what = format!("would {}", describe(view.plan, step, &DO));
            show_step(&mut text, number, &what, &reason(&step.reason), paint);
        }
    }
    stays::what_stays(&mut text, view, paint);
    let line = "Nothing that this disk's configuration names is run here: {}. What these would have \
                done with a file before it goes is not done.";
    what_is_not_run(&mut text, view.session, line);
    ending(&mut text, view, paint);
    text
}

/// The host, so that nobody takes it for another one.
fn banner(host: &Host, session: &Session, paint: Paint) -> String {
    let line = "=".repeat(WIDTH);
    let disk = host.disk.as_ref();
    let name = clean(disk.map_or(host.name.as_str(), root::name));
    let spaced: Vec<String> = name.chars().map(String::from).collect();
    let spaced = spaced.join(" ");
    let large = if spaced.chars().count() + 4 <= WIDTH { spaced } else { name.clone() };
    let machine = disk.map_or(&host.machine_id, |disk| &disk.machine_id);
    let machine = if machine.is_empty() { "unknown" } else { machine };
    let who = match disk {
        None => format!("    host     {name}\n    machine  {}\n", clean(machine)),
        Some(disk) => format!(
            "    DISK OF  {name}\n    machine  {}\n    mounted  {}\n    on host  {}\n",
            clean(machine),
            printable(&disk.path),
            clean(&host.name)
        ),
    };
    let now = session.now.format("%Y-%m-%d %H:%M:%S %:z");
    format!("{line}\n\n    {}\n\n{who}    time     {now}\n\n{line}\n\n", paint.head(&large))
}

fn sums(text: &mut String, view: &View<'_>, paint: Paint) {
    let space = view.space();
    let wanted = view.goal.wanted;
    let (total, free) = (amount(wanted.total(&space)), amount(wanted.free(&space)));
    let after = amount(view.free_after());
    let place = printable(view.place());
    push_wrapped(text, &format!("The file system of {place}, {total} large:"), 0);
    text.push('\n');
    let _ = writeln!(text, "    free now     {free:>10}");
    let _ = writeln!(text, "    wanted       {:>10}", amount(wanted));
    if view.is_short() {
        let _ = writeln!(text, "    afterwards   {after:>10}");
        let line = format!("    NOT ENOUGH   {:>10} are missing", amount(view.shortfall()));
        let _ = writeln!(text, "{}", paint.bad(&line));
    } else {
        let _ = writeln!(text, "    afterwards   {after:>10} at least");
    }
}

/// A disk that is full although space is free.
fn inodes(text: &mut String, view: &View<'_>, paint: Paint) {
    if !view.has_no_inode() || view.goal.wanted.inodes().is_some() {
        return;
    }
    let _ = writeln!(
        text,
        "{}",
        paint.bad("    NO INODES              no file can be made, however much is free")
    );
    let hint = "Each file that is deleted gives one back: `logquota free 1000 --inodes` makes so many \
                free. `maxfiles` in a configuration bounds their number.";
    push_wrapped(text, hint, 4);
}

fn show_kind(
    text: &mut String,
    view: &View<'_>,
    (kind, number): (Kind, usize),
    verbose: bool,
    paint: Paint,
) {
    let parts = view.parts(kind);
    let files: usize = parts.values().map(|part| part.files).sum();
    let bytes: Bytes = parts.values().map(|part| part.bytes).sum();
    let title = match kind {
        Kind::Ballast => "Release the ballast, which only keeps room",
        Kind::Leftover => "Delete leftovers of interrupted runs",
        Kind::Expired => "Delete archives past their maxage",
        Kind::Compress => "Compress, as far as there is room for it",
        Kind::InPlace => "Compress in place, a piece at a time",
        Kind::Evict if view.goal.wanted.inodes().is_some() => {
            "Delete archives, of the log with most files the oldest first"
        }
        Kind::Evict => "Delete archives, of the largest log the oldest first",
        Kind::Cut => "CUT the oldest records off logs in use",
    };
    let unit = if kind == Kind::Cut { "log" } else { "file" };
    let line = counted(&format!("{number:>2}. {title}"), (files, unit), bytes);
    let line = if kind == Kind::Cut { paint.bad(&line) } else { line };
    let _ = writeln!(text, "{line}");
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by(|a, b| b.1.bytes.cmp(&a.1.bytes).then_with(|| a.0.cmp(b.0)));
    let shown = if verbose { parts.len() } else { LOGS_MAX };
    for (path, part) in parts.iter().take(shown) {
        let _ = writeln!(text, "{}", log_row(path, part, kind));
    }
    if let Some(more) = parts.len().checked_sub(shown).filter(|more| *more > 0) {
        let _ = writeln!(text, "      and {more} more logs; -v lists all");
    }
    let note = match kind {
        Kind::Ballast => "A run or an appender makes it again when there is room.".to_owned(),
        Kind::Compress => "What that gains is not known before, and not counted above.".to_owned(),
        Kind::InPlace => format!(
            "Each only while there is too little free. Beside it, {} are enough at any time. What \
             that gains is not known before, and not counted above.",
            view.piece()
        ),
        Kind::Evict if view.evicts_first() => {
            "Each only while there is still too little free. The \
             first goes before anything is compressed: that needs a little room."
                .to_owned()
        }
        Kind::Evict => "Each only while there is still too little free.".to_owned(),
        Kind::Cut => CUT_NOTE.to_owned(),
        Kind::Leftover | Kind::Expired => return,
    };
    push_wrapped(text, &note, 4);
}

/// What is lost by that, and what is not.
const CUT_NOTE: &str = "These records are LOST: nothing else has them. Each log keeps its newest \
                        64.0 KiB at least, and its writer goes on. It is cut only while there is \
                        still too little free; if others write until then, by an eighth or 64.0 \
                        KiB more at most.";

/// Files and bytes at the right edge.
fn row(what: &str, files: usize, bytes: Bytes) -> String {
    counted(what, (files, "file"), bytes)
}

/// The same for something else than files.
fn counted(what: &str, (count, unit): (usize, &str), bytes: Bytes) -> String {
    let files = if count == 1 { format!("1 {unit} ") } else { format!("{count} {unit}s") };
    let right = format!("{files:>12} {:>10}", bytes.to_string());
    let room = WIDTH.saturating_sub(right.chars().count());
    if what.chars().count() < room {
        format!("{what:<room$}{right}")
    } else {
        format!("{what}\n{right:>WIDTH$}")
    }
}

fn log_row(path: &Path, part: &Part, kind: Kind) -> String {
    let path = printable(path);
    let what = match kind {
        Kind::Ballast | Kind::Leftover => format!("      {path}"),
        Kind::Cut => format!("      {path}: of {}", part.active),
        _ => format!("      {path}: {} of {} archives", part.files, part.of),
    };
    let right = part.bytes.to_string();
    let room = WIDTH.saturating_sub(right.chars().count());
    if what.chars().count() < room {
        format!("{what:<room$}{right}")
    } else {
        format!("{what}\n{right:>WIDTH$}")
    }
}

/// Deleted files that are open, each with the process.
pub(crate) fn show_held(text: &mut String, held: &OpenDeletedFiles, max: usize) {
    for file in held.files.iter().take(max) {
        let command = printable(&file.command);
        let _ = writeln!(
            text,
            "    {:>10}  pid {} ({command}): {}",
            file.bytes.to_string(),
            file.pid,
            printable(&file.path)
        );
    }
    if let Some(more) = held.files.len().checked_sub(max).filter(|more| *more > 0) {
        let _ = writeln!(text, "    and {more} more; `logquota status --open-deleted` lists all");
    }
    if held.hidden > 0 {
        let line = format!("{} processes of others could not be looked at.", held.hidden);
        push_wrapped(text, &line, 4);
    }
}

/// What the configuration of another machine's disk names, and is not run.
fn what_is_not_run(text: &mut String, session: &Session, line: &str) {
    let mut directives: Vec<_> = session.forgotten.iter().map(|(name, _)| *name).collect();
    directives.sort_unstable();
    directives.dedup();
    if directives.is_empty() {
        return;
    }
    text.push('\n');
    push_wrapped(text, &line.replacen("{}", &directives.join(", "), 1), 0);
}

/// How it is done.
fn ending(text: &mut String, view: &View<'_>, paint: Paint) {
    let _ = writeln!(text);
    if let Some(first) = view.exceeded.first() {
        let _ = writeln!(text, "{}", paint.bad("Nothing was changed, and this is too much:"));
        push_wrapped(text, &format!("{first}."), 4);
        for exceeded in view.exceeded {
            let (option, value) = exceeded.option();
            push_wrapped(text, &format!("{option} {value} would allow it."), 4);
        }
        return;
    }
    if view.plan.steps.is_empty() {
        let _ = writeln!(text, "Nothing was changed.");
        return;
    }
    let is_today = view.expires.date_naive() == view.plan.created.date_naive();
    let format = if is_today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    let until = view.expires.format(format);
    let line =
        format!("Nothing was changed. This does exactly the above, here, once, until {until}:");
    push_wrapped(text, &line, 0);
    let _ = writeln!(text, "\n{}", paint.head(&call::lines(&view.words, WIDTH)));
}

/// What was done.
pub(crate) fn outcome(
    session: &Session,
    done: &Outcome<'_>,
    report: &Report,
    paint: Paint,
    verbose: bool,
) -> String {
    let mut text = banner(&session.host, session, paint);
    if verbose {
        for set in 0..done.plan.sets.len() {
            super::show_outcomes(&mut text, done.plan, report, set, paint);
        }
    }
    let (files, bytes) = done.deleted;
    let several = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let mut what = Vec::new();
    if files > 0 {
        what.push(format!("{} deleted, {bytes} by their sizes", several(files, "file")));
    }
    if done.released > Bytes::ZERO {
        what.push(format!("{} of ballast released", done.released));
    }
    if done.compressed > 0 {
        what.push(format!("{} compressed", done.compressed));
    }
    if done.cut.0 > 0 {
        what.push(format!("{} cut off {} in use", done.cut.1, several(done.cut.0, "log")));
    }
    if done.whole > 0 {
        let stay = if done.whole == 1 { "stays" } else { "stay" };
        let logs = several(done.whole, "log");
        what.push(format!("{logs} {stay} whole: there was room enough before"));
    }
    if done.not_needed > 0 {
        let stay = if done.not_needed == 1 { "stays" } else { "stay" };
        let archives = several(done.not_needed, "archive");
        what.push(format!("{archives} {stay}: there was room enough before"));
    }
    let what = if what.is_empty() { "Nothing was deleted".to_owned() } else { what.join("; ") };
    push_wrapped(&mut text, &format!("{what}."), 0);
    let wanted = done.goal.wanted;
    let (before, free) = (wanted.free(&done.before), wanted.free(&done.space));
    let _ = writeln!(text, "\n    free before  {:>10}", amount(before));
    let freed = match wanted {
        Wanted::Bytes(_) => (done.freed < 0, Wanted::Bytes(Bytes::new(done.freed.unsigned_abs()))),
        Wanted::Inodes(_) => match missing(before, free) {
            Wanted::Inodes(0) => (true, missing(free, before)),
            more => (false, more),
        },
    };
    match freed {
        (true, less) if less != Wanted::Inodes(0) => {
            let _ = writeln!(text, "    freed        {:>10} less: others wrote", amount(less));
        }
        (_, freed) => {
            let _ =
                writeln!(text, "    freed        {:>10} as the file system says", amount(freed));
        }
    }
    let _ = writeln!(text, "    free now     {:>10}", amount(free));
    let _ = writeln!(text, "    wanted       {:>10}", amount(wanted));
    if !wanted.is_met(&done.space) {
        let line = format!("    NOT ENOUGH   {:>10} are missing", amount(missing(free, wanted)));
        let _ = writeln!(text, "{}", paint.bad(&line));
    }
    if !done.held.files.is_empty() {
        let kept = done.kept_back();
        let line = format!(
            "{kept} of what was deleted is not free: a process has it open. It is free when the \
             process closes it or is restarted:"
        );
        text.push('\n');
        push_wrapped(&mut text, &line, 0);
        show_held(&mut text, &done.held, HELD_MAX);
    }
    let line = "Nothing that this disk's configuration names was run here: {}. What these would have \
                done with a file before it goes was not done.";
    what_is_not_run(&mut text, session, line);
    text
}

/// The whole list for `status --open-deleted`.
pub(crate) fn open_deleted(held: &OpenDeletedFiles, paint: Paint) -> String {
    let mut text = format!("\n{}\n", paint.head("Deleted files that processes have open:"));
    if held.files.is_empty() {
        text.push_str("    none\n");
    }
    show_held(&mut text, held, usize::MAX);
    text
}
