//! All text for people, 80 columns wide. Whatever comes from the disk or a configuration is
//! shown escaped, so that a name cannot speak to the terminal.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use logquota::Bytes;
use logquota::apply::{Outcome, Report};
use logquota::error::printable;
use logquota::inventory::Inventory;
use logquota::plan::{Action, Host, Plan, Reason, SetPlan, Step, Verdict, Why};
use logquota::report::{freed_in_all, place_path, step_path};

use crate::output::{Output, Paint, clean};
use crate::root;

mod ballast;
pub(crate) mod free;
mod lint;
mod table;
mod wrap;

pub(crate) use lint::{finding, lint};
pub(crate) use table::status;
use wrap::push_wrapped;

const WIDTH: usize = 80;

/// A plan: per set what would be done and why, and the sums.
pub(crate) fn plan(inventory: &Inventory, plan: &Plan, paint: Paint, verbose: bool) -> String {
    let mut text = head(plan, "what a run would do", paint);
    for (index, set) in plan.sets.iter().enumerate() {
        let steps = || steps_of(plan, index);
        if steps().next().is_none() {
            let used = set.used_before;
            let _ = writeln!(text, "\n{}: nothing to do, {used} used", set_title(set, paint));
            if verbose {
                show_kept(&mut text, inventory, plan, index, paint);
            }
            text.push_str(&shortfall(set, set.shortfall, paint));
            continue;
        }
        let _ = writeln!(text, "\n{}", set_title(set, paint));
        let mut folder = None;
        for (number, step) in steps() {
            show_folder(&mut text, plan, step, &mut folder);
            let what = format!("would {}", describe(plan, step, &DO));
            show_step(&mut text, number, &what, &reason(&step.reason), paint);
        }
        if verbose {
            show_kept(&mut text, inventory, plan, index, paint);
        }
        text.push_str(&sums(set, paint));
    }
    text.push('\n');
    text
}

/// What a run did: one line per set and one in all; with `-v` every step.
pub(crate) fn report(plan: &Plan, report: &Report, paint: Paint, verbose: bool) -> String {
    let mut text = head(plan, "what was done", paint);
    for (index, set) in plan.sets.iter().enumerate() {
        let done = |name: &str| {
            steps_of(plan, index)
                .filter(|(number, step)| {
                    let outcome = report.outcomes.get(*number);
                    step.action.name() == name && matches!(outcome, Some(Outcome::Done))
                })
                .count()
        };
        let counts: Vec<_> = [
            ("delete", "deleted"),
            ("rename", "renamed"),
            ("copy", "copied"),
            ("truncate", "emptied"),
            ("trim", "cut"),
            ("compress", "compressed"),
            ("create", "created"),
            ("release_ballast", "ballast released"),
            ("restore_ballast", "ballast made"),
        ]
        .into_iter()
        .filter_map(|(name, word)| match done(name) {
            0 => None,
            count => Some(format!("{count} {word}")),
        })
        .collect();
        let counts = if counts.is_empty() { "nothing to do".to_owned() } else { counts.join(", ") };
        let used = report.used.get(index).copied().unwrap_or(set.used_after);
        let quota = set.quota.map_or_else(String::new, |quota| format!(" of {quota}"));
        let line = format!("{counts}; {} used before, {used}{quota} now", set.used_before);
        let _ = writeln!(text, "{}", set_title_plain(set, paint));
        push_wrapped(&mut text, &line, 2);
        if verbose {
            show_outcomes(&mut text, plan, report, index, paint);
        }
        text.push_str(&shortfall(set, report.shortfall(plan, index), paint));
    }
    let freed = freed_in_all(report);
    let amount = Bytes::new(freed.unsigned_abs());
    let line = if freed < 0 {
        format!("The file systems have {amount} less free than before: others wrote, too.")
    } else {
        format!("The file systems have {amount} more free than before.")
    };
    let _ = writeln!(text, "{line}");
    text
}

/// A step that was not done, on standard error.
pub(crate) fn mishap(plan: &Plan, step: &Step, outcome: &Outcome, out: &mut Output) {
    let what = || describe_fully(plan, step);
    match outcome {
        Outcome::Failed(error) => out.error(&error.chain()),
        Outcome::Skipped(error) if error.is_no_space() => out.detail(&error.chain()),
        Outcome::Skipped(error) => out.warning(&error.chain()),
        Outcome::NotReached => {
            out.warning(&format!("did not {}: a step before it was not done", what()));
        }
        _ => {}
    }
}

/// Why a step is done, with the numbers that decided.
pub(crate) fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Leftover => "left over from an interrupted run".to_owned(),
        Reason::Duplicate => "the same archive is there compressed and plain".to_owned(),
        Reason::Size { len, limit } => format!("its length is {len}, it rotates at {limit}"),
        Reason::MaxSize { len, limit } => format!("its length is {len}, maxsize is {limit}"),
        Reason::Interval { every, last } => {
            let every = clean(every);
            last.map_or_else(
                || format!("{every}, never rotated before"),
                |last| format!("{every}, last rotated {}", last.format("%Y-%m-%d %H:%M")),
            )
        }
        Reason::FutureDate { last } => {
            let last = last.format("%Y-%m-%d %H:%M");
            format!("its last rotation is said to be in the future, {last}")
        }
        Reason::Forced => "it was asked for".to_owned(),
        Reason::Interrupted => "finishes a rotation that was interrupted".to_owned(),
        Reason::QuotaPressure { used, limit } => format!(
            "deleting archives is not enough: {used} would still be used, the quota is {limit}"
        ),
        Reason::MakeWay => "makes way for a newer archive".to_owned(),
        Reason::Overwritten => "one too many, and another one takes its name".to_owned(),
        Reason::InTheWay => "in the way of a new file".to_owned(),
        Reason::Mail => "the configuration says so".to_owned(),
        Reason::Compressed => "its compressed copy is complete".to_owned(),
        Reason::NewLog => "a new log for its writer".to_owned(),
        Reason::MissingDir => "the folder for archives does not exist yet".to_owned(),
        Reason::Copied => "its copy is complete".to_owned(),
        Reason::Count { generation, limit } => {
            format!("number {generation} from the newest, {limit} are kept")
        }
        Reason::MaxAge { age, limit } => format!("{age} old, maxage is {limit}"),
        Reason::Quota { used, limit, log_used, share } => format!(
            "{used} would be used with it, {} more than the quota of {limit}; its log has \
             {log_used}, and a share of {share} is safe",
            used.minus(*limit)
        ),
        Reason::MaxFiles { files, limit } => {
            format!("{files} files would be there with it, maxfiles is {limit}")
        }
        Reason::Reserve { free, wanted } => {
            format!("{free} would be free on the disk with it, {wanted} must be")
        }
        Reason::Inodes { free, wanted } => {
            format!("{free} inodes would be free on the disk with it, {wanted} must be")
        }
        Reason::NoInode => "a rotation needs an inode and the file system has none".to_owned(),
        Reason::Compression { len } => format!("its length is {len}, archives are compressed"),
        Reason::Script => "the configuration says so".to_owned(),
        other => ballast::reason(other),
    }
}

fn head(plan: &Plan, what: &str, paint: Paint) -> String {
    let at = plan.created.format("%Y-%m-%d %H:%M:%S %:z");
    format!("{}: {what}, {at}\n", paint.head(&whose(&plan.host)))
}

/// Which host it is, and whose disk if that is another machine's.
fn whose(host: &Host) -> String {
    let name = clean(&host.name);
    match &host.disk {
        None => format!("Host {name}"),
        Some(disk) => format!(
            "Disk of {}, mounted at {} on host {name}",
            clean(root::name(disk)),
            printable(&disk.path)
        ),
    }
}

fn set_title(set: &SetPlan, paint: Paint) -> String {
    let quota = set.quota.map_or_else(String::new, |quota| format!(", quota {quota}"));
    format!("{}{quota}", set_title_plain(set, paint))
}

fn set_title_plain(set: &SetPlan, paint: Paint) -> String {
    paint.head(&format!("Set {}", clean(&set.name)))
}

/// Used before, peak, after; what the disk will have; what is missing.
fn sums(set: &SetPlan, paint: Paint) -> String {
    let mut text = String::new();
    let peak = if set.used_peak > set.used_before {
        format!("{} at most on the way, ", set.used_peak)
    } else {
        "never more on the way, ".to_owned()
    };
    let used = format!(
        "Used: {} now, {peak}{} at most afterwards; files: {} now, {} afterwards.",
        set.used_before, set.used_after, set.files_before, set.files_after
    );
    push_wrapped(&mut text, &used, 2);
    let disk = format!("Disk: {} free now, {} afterwards.", set.free_before, set.free_after);
    push_wrapped(&mut text, &disk, 2);
    text.push_str(&shortfall(set, set.shortfall, paint));
    text
}

fn shortfall(set: &SetPlan, bytes: Bytes, paint: Paint) -> String {
    let mut missing = Vec::new();
    if bytes != Bytes::ZERO {
        missing.push(format!("{bytes} too much stays"));
    }
    if set.files_shortfall != 0 {
        missing.push(format!("{} files too many stay", set.files_shortfall));
    }
    if missing.is_empty() {
        return String::new();
    }
    let line =
        format!("LIMIT NOT MET: {}: nothing is left that may be deleted now.", missing.join(", "));
    let mut text = String::new();
    push_wrapped(&mut text, &line, 2);
    paint.bad(text.trim_end_matches('\n')) + "\n"
}

fn steps_of(plan: &Plan, set: usize) -> impl Iterator<Item = (usize, &Step)> {
    plan.steps.iter().enumerate().filter(move |(_, step)| step.set == set)
}

/// Verbs of one tense.
struct Verbs {
    rename: &'static str,
    create: &'static str,
    copy: &'static str,
    truncate: &'static str,
    trim: &'static str,
    compress: &'static str,
    delete: &'static str,
    run: &'static str,
    mail: &'static str,
    shred: &'static str,
    release: &'static str,
    make: &'static str,
}

const DO: Verbs = Verbs {
    rename: "rename",
    create: "create",
    copy: "copy",
    truncate: "empty",
    trim: "cut",
    compress: "compress",
    delete: "delete",
    run: "run",
    mail: "mail",
    shred: "overwrite and delete",
    release: "release",
    make: "make",
};

const DID: Verbs = Verbs {
    rename: "renamed",
    create: "created",
    copy: "copied",
    truncate: "emptied",
    trim: "cut",
    compress: "compressed",
    delete: "deleted",
    run: "ran",
    mail: "mailed",
    shred: "overwrote and deleted",
    release: "released",
    make: "made",
};

/// A step with names relative to the folder that was shown.
fn describe(plan: &Plan, step: &Step, verbs: &Verbs) -> String {
    let name = || step.action.place().map(|at| printable(&at.name)).unwrap_or_default();
    let to = || {
        let (Some(from), Some(to)) = (step.action.place(), step.action.target()) else {
            return String::new();
        };
        if from.dir == to.dir { printable(&to.name) } else { printable(place_path(plan, to)) }
    };
    let bytes = step.bytes;
    match &step.action {
        Action::Rename { .. } => format!("{} {} to {}", verbs.rename, name(), to()),
        Action::Create { .. } => format!("{} {}", verbs.create, name()),
        Action::MakeDir { .. } => format!("{} the folder {}", verbs.create, name()),
        Action::Copy { .. } => format!("{} {} to {} ({bytes})", verbs.copy, name(), to()),
        Action::Truncate { .. } => format!("{} {} ({bytes})", verbs.truncate, name()),
        Action::Trim { .. } => format!("{} the oldest {bytes} off {}", verbs.trim, name()),
        Action::Compress { program, .. } => {
            let (name, to) = (name(), to());
            let to = to.strip_prefix(&name).map_or_else(|| to.clone(), |end| format!("…{end}"));
            let by =
                program.as_ref().map(|program| format!("by {}, ", printable(&program.command)));
            format!("{} {name} to {to} ({}{bytes})", verbs.compress, by.unwrap_or_default())
        }
        Action::Squeeze { .. } => {
            let (name, to) = (name(), to());
            let to = to.strip_prefix(&name).map_or_else(|| to.clone(), |end| format!("…{end}"));
            format!("{} {name} to {to} in place ({bytes})", verbs.compress)
        }
        Action::Delete { shred: Some(_), .. } => format!("{} {} ({bytes})", verbs.shred, name()),
        Action::Delete { .. } => format!("{} {} ({bytes})", verbs.delete, name()),
        Action::ReleaseBallast { .. } => format!("{} the {} ({bytes})", verbs.release, name()),
        Action::RestoreBallast { .. } => format!("{} the {} ({bytes})", verbs.make, name()),
        Action::Mail { message, .. } => {
            let address = logquota::error::printable(&message.address);
            format!("{} {} to {address}", verbs.mail, name())
        }
        Action::RunHook { hook, args, .. } => {
            let about = args.first().map(printable).unwrap_or_default();
            format!("{} the {} script for {about}", verbs.run, hook.name())
        }
        other => other.name().to_owned(),
    }
}

/// A step with the whole path, for a line that stands alone.
fn describe_fully(plan: &Plan, step: &Step) -> String {
    match &step.action {
        Action::RunHook { .. } => describe(plan, step, &DO),
        action => format!("{} `{}`", action.name(), printable(step_path(plan, step))),
    }
}

fn show_folder(text: &mut String, plan: &Plan, step: &Step, shown: &mut Option<PathBuf>) {
    if let Some(place) = step.action.place() {
        folder_line(text, &place_path(plan, place), shown);
    }
}

/// The folder of `path`, unless it was the last one that was shown.
fn folder_line(text: &mut String, path: &Path, shown: &mut Option<PathBuf>) {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if shown.as_deref() != Some(folder) {
        let _ = writeln!(text, "  in {}", printable(folder));
        *shown = Some(folder.to_owned());
    }
}

/// Number, act and reason; the reason on a line of its own where it does not fit.
fn show_step(text: &mut String, number: usize, what: &str, why: &str, paint: Paint) {
    let number = number.saturating_add(1);
    let line = format!("  {number:>3}. {what}");
    if line.chars().count() + 2 + why.chars().count() <= WIDTH {
        let _ = writeln!(text, "{line}: {}", paint.dim(why));
        return;
    }
    let _ = writeln!(text, "{line}:");
    let mut reason = String::new();
    push_wrapped(&mut reason, why, 7);
    let _ = writeln!(text, "{}", paint.dim(reason.trim_end_matches('\n')));
}

/// Which archives stay, and why.
fn show_kept(text: &mut String, inventory: &Inventory, plan: &Plan, set: usize, paint: Paint) {
    let logs = inventory.sets.get(set).map_or(&[][..], |set| &set.logs);
    for given in plan.verdicts.iter().filter(|given| given.set == set) {
        let archives = logs.get(given.log).map_or(&[][..], |log| &log.archives);
        for (archive, verdict) in archives.iter().zip(given.verdicts.iter()) {
            let Verdict::Keep(why) = verdict else { continue };
            let why = match why {
                Why::WithinLimits => "within all limits",
                Why::HardLinked => "it has other names, so deleting it would free nothing",
                Why::NoFile => "it is no regular file",
                Why::Blocked => "its log is left alone",
                Why::FairShare => "its log uses no more than its fair share",
                _ => "kept",
            };
            let name = printable(archive.name());
            let _ = writeln!(text, "       keeps {name}: {}", paint.dim(why));
        }
    }
}

/// With `-v`: every step and what became of it.
fn show_outcomes(text: &mut String, plan: &Plan, report: &Report, set: usize, paint: Paint) {
    let mut folder = None;
    for (number, step) in steps_of(plan, set) {
        let Some(outcome) = report.outcomes.get(number) else { continue };
        show_folder(text, plan, step, &mut folder);
        let what = match outcome {
            Outcome::Done => describe(plan, step, &DID),
            Outcome::Skipped(_) => format!("skipped: {}", describe(plan, step, &DO)),
            Outcome::Failed(_) => format!("failed: {}", describe(plan, step, &DO)),
            Outcome::NotNeeded => format!("not needed: {}", describe(plan, step, &DO)),
            _ => format!("not reached: {}", describe(plan, step, &DO)),
        };
        show_step(text, number, &what, &reason(&step.reason), paint);
    }
}

#[cfg(test)]
mod tests {
    use super::wrap::words;
    use super::*;
    use logquota::Age;
    use logquota::units::Generation;

    #[test]
    fn every_reason_has_its_numbers() {
        for (given, expected) in [
            (
                Reason::Quota {
                    used: Bytes::kib(1404),
                    limit: Bytes::kib(1400),
                    log_used: Bytes::kib(900),
                    share: Bytes::kib(700),
                },
                "1.3 MiB would be used with it, 4.0 KiB more than the quota of 1.3 MiB; its log \
                 has 900.0 KiB, and a share of 700.0 KiB is safe",
            ),
            (
                Reason::Count { generation: Generation::from_index(4), limit: 4 },
                "number 5 from the newest, 4 are kept",
            ),
            (Reason::MaxAge { age: Age::days(9), limit: Age::days(7) }, "9 d old, maxage is 7 d"),
            (Reason::Interval { every: "daily".into(), last: None }, "daily, never rotated before"),
        ] {
            assert_eq!(reason(&given), expected);
        }
    }

    #[test]
    fn lines_are_broken_at_blanks_and_fit_the_terminal() {
        let mut text = String::new();
        push_wrapped(&mut text, &"word ".repeat(40), 7);
        assert!(text.lines().all(|line| line.len() <= WIDTH && line.starts_with("       word")));
        let split: Vec<_> = words("the quota of 256.0 KiB; 9 d old, 1 s").collect();
        assert_eq!(split, ["the", "quota", "of", "256.0 KiB;", "9 d", "old,", "1 s"]);
    }
}
