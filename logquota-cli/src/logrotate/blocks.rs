//! What is said of a block before anything is done to it: its rules, and of each log whether
//! it is due and why not.
//!
//! Nothing is decided here. That a log is due is read off the plan; why another one is not is
//! told from the rules that the planner goes by.

use chrono::NaiveDateTime;
use logquota::inventory::{Blocked, Log};
use logquota::plan::{NextDue, Problem, Reason, next_due};
use logquota::policy::{Count, Policy, RotateWhen, SetSpec};

use super::config::{Named, switching};
use super::scene::Scene;
use super::voice::{Voice, show, show_pattern};

/// The lines of one block, errors among them.
pub(super) fn introduce(scene: &Scene<'_>, set: usize, voice: &mut Voice) {
    let (Some(spec), Some(names)) = (scene.spec(set), scene.names.get(set)) else { return };
    if voice.is_heard() {
        voice.say(&format!("\nrotating pattern: {}", rules(spec, scene.force)));
    }
    if let Some(who) = spec.policy.run_as.filter(|who| *who != scene.home) {
        voice.say(&switching(scene.home, who));
    }
    if let Some(why) = scene.refused.get(&set) {
        voice.error(why);
        return;
    }
    // Of most logs there is nothing to say, and there may be many.
    if voice.is_heard() || !scene.problems.is_empty() || !scene.due.is_empty() {
        for log in names {
            consider(scene, spec, set, log, voice);
        }
    }
    if voice.is_heard() && !scene.has_due(set) {
        for line in not_running(&spec.policy) {
            voice.say(&line);
        }
    }
}

fn not_running(policy: &Policy) -> Vec<String> {
    let scripts = &policy.scripts;
    let line = |script: &str, tense: &str| {
        format!("not running {script} script, since no logs {tense} rotated")
    };
    [
        (scripts.first.is_some(), "first action", "will be"),
        (scripts.shared && scripts.pre.is_some(), "prerotate", "will be"),
        (scripts.shared && scripts.post.is_some(), "postrotate", "were"),
        (scripts.last.is_some(), "last action", "will be"),
    ]
    .into_iter()
    .filter(|(is_there, ..)| *is_there)
    .map(|(_, script, tense)| line(script, tense))
    .collect()
}

/// Pattern, criterion and the rest, on two lines.
fn rules(spec: &SetSpec, force: bool) -> String {
    let policy = &spec.policy;
    let mut text = format!("{} {} ", pattern(spec), criterion(policy.when, force));
    match policy.count {
        Count::AtMost(0) => text.push_str("(no old logs will be kept)\n"),
        Count::AtMost(count) => text.push_str(&format!("({count} rotations)\n")),
        _ => {}
    }
    if let Some(dir) = &policy.archive_dir {
        text.push_str(&format!("olddir is {}, ", show(&dir.path)));
    }
    let not = if policy.if_empty { "" } else { "not " };
    text.push_str(&format!("empty log files are {not}rotated, "));
    if let Some(size) = policy.min_size.map(|size| size.get()).filter(|size| *size > 0) {
        text.push_str(&format!("only log files >= {size} bytes are rotated, "));
    }
    if let Some(size) = policy.max_size.map(|size| size.get()).filter(|size| *size > 0) {
        text.push_str(&format!("log files >= {size} are rotated earlier, "));
    }
    if let Some(days) = policy.min_age_days.filter(|days| *days > 0) {
        text.push_str(&format!("only log files older than {days} days are rotated, "));
    }
    match &policy.mail {
        Some(mail) => text.push_str(&format!("old logs mailed to {}", mail.address)),
        None => text.push_str("old logs are removed"),
    }
    text
}

fn criterion(when: RotateWhen, force: bool) -> String {
    match when {
        _ if force => "forced from command line".to_owned(),
        RotateWhen::Size(size) => format!("{} bytes", size.get()),
        RotateWhen::Hourly => "hourly".to_owned(),
        RotateWhen::Daily => "after 1 days".to_owned(),
        RotateWhen::Weekly { .. } => "weekly".to_owned(),
        RotateWhen::Monthly { .. } => "monthly".to_owned(),
        RotateWhen::Yearly => "yearly".to_owned(),
        RotateWhen::Minutes(minutes) => format!("after {minutes} minutes"),
        _ => "never".to_owned(),
    }
}

/// The paths of the block as they were written.
pub(super) fn pattern(spec: &SetSpec) -> String {
    show_pattern(&spec.pattern_text).trim_end().to_owned()
}

fn consider(scene: &Scene<'_>, spec: &SetSpec, set: usize, named: &Named, voice: &mut Voice) {
    let found = named.number.and_then(|number| {
        let log = scene.inventory.sets.get(set)?.logs.get(number)?;
        Some((log, scene.due.get(&(set, number))))
    });
    let name = show(&named.path);
    if voice.is_heard() {
        voice.say(&format!("considering log {name}"));
        if scene.state.is_new(&named.path) {
            voice.say("Creating new state");
        }
    }
    match found {
        None if !spec.policy.missing_ok => {
            voice
                .say(&format!("  log {name} is another name of one that has its turn -- skipping"));
        }
        None => missing_words(spec, &name, voice),
        Some((Log { blocked: Some(blocked), .. }, _)) => blocked_words(blocked, spec, &name, voice),
        Some((Log { active: None, .. }, _)) => missing_words(spec, &name, voice),
        Some((Log { active: Some(active), .. }, reason)) => {
            let last = scene.state.last_rotated(&named.path, scene.now());
            due_words(scene, spec, &name, (active.stamp.len, last, reason), voice);
            for problem in scene.problems.about(&named.path) {
                problem_words(problem, voice);
            }
        }
    }
}

/// Length, last rotation, and why it is due, if it is.
type Judged<'a> = (u64, NaiveDateTime, Option<&'a Reason>);

fn due_words(
    scene: &Scene<'_>,
    spec: &SetSpec,
    name: &str,
    (len, last, reason): Judged<'_>,
    voice: &mut Voice,
) {
    let now = scene.now();
    if voice.is_heard() {
        let minute = |at: NaiveDateTime| at.format("%Y-%m-%d %H:%M").to_string();
        voice.say(&format!("  Now: {}\n  Last rotated at {}", minute(now), minute(last)));
    }
    if matches!(reason, Some(Reason::FutureDate { .. })) {
        voice.error(&format!("log {name} last rotated in the future -- rotation forced"));
    }
    if reason.is_some() {
        voice.say("  log needs rotating");
    } else if voice.is_heard() {
        let why = why_not(&spec.policy, len, last, now, scene.force);
        voice.say(&format!("  log does not need rotating ({why})"));
    }
}

/// What the planner says of a path. A sentence that names its path stands alone.
pub(super) fn problem_words(problem: &Problem, voice: &mut Voice) {
    let path = show(&problem.path);
    let is_sentence = problem.why.contains(&path) || problem.why.starts_with("destination ");
    let text = if is_sentence { problem.why.clone() } else { format!("{path}: {}", problem.why) };
    if problem.is_error { voice.error(&text) } else { voice.say(&text) }
}

fn blocked_words(blocked: &Blocked, spec: &SetSpec, name: &str, voice: &mut Voice) {
    match blocked {
        Blocked::Symlink => voice.say(&format!(
            "  log {name} is symbolic link. Rotation of symbolic links is not allowed to avoid \
             security issues -- skipping."
        )),
        Blocked::HardLinks { names } => voice.say(&format!(
            "  log {name} has multiple ({names}) hard links. Rotation of files with multiple hard \
             links is not allowed for {} -- skipping.",
            pattern(spec)
        )),
        Blocked::Missing => missing_words(spec, name, voice),
        Blocked::InsecureParent { .. } => voice.error(&format!(
            "skipping \"{name}\" because parent directory has insecure permissions (It's world \
             writable or writable by group which is not \"root\") Set \"su\" directive in config \
             file to tell logrotate which user/group should be used for rotation."
        )),
        Blocked::Unreadable { why } => {
            voice.error(&format!("stat of {name} failed: {}", without_number(why)));
        }
        Blocked::Special => voice.say(&format!("  log {name} is not a regular file -- skipping")),
        other => voice.error(&format!("skipping \"{name}\": {other:?}")),
    }
}

fn missing_words(spec: &SetSpec, name: &str, voice: &mut Voice) {
    if spec.policy.missing_ok {
        voice.say(&format!("  log {name} does not exist -- skipping"));
    } else {
        voice.error(&format!("stat of {name} failed: No such file or directory"));
    }
}

/// What the system said, without its number.
fn without_number(why: &str) -> &str {
    why.split(" (os error ").next().unwrap_or(why)
}

/// Why a log is not due, of which the plan says so.
fn why_not(
    policy: &Policy,
    len: u64,
    last: NaiveDateTime,
    now: NaiveDateTime,
    force: bool,
) -> String {
    let is_empty = len == 0 && !policy.if_empty;
    if force && is_empty {
        return "log is empty".to_owned();
    }
    match next_due(policy.when, Some(last), now) {
        NextDue::Size(size) if len < size.get() => {
            return "log size is below the 'size' threshold".to_owned();
        }
        NextDue::At(_) => return "log has already been rotated".to_owned(),
        NextDue::Never => return "it rotates on demand only".to_owned(),
        _ => {}
    }
    // Its time has come, and something else holds it back.
    if policy.min_size.is_some_and(|size| len < size.get()) {
        "'minsize' directive is used and the log size is smaller than the minsize value".to_owned()
    } else if is_empty {
        "log is empty".to_owned()
    } else if policy.min_age_days.is_some_and(|days| days > 0) {
        "'minage' directive is used and the log age is smaller than the minage days".to_owned()
    } else {
        "it cannot be rotated now".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logquota::Bytes;
    use logquota::policy::{ArchiveDir, Mail, MailWhen};

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect(text)
    }

    fn mail() -> Mail {
        Mail { address: "me@x".to_owned(), when: MailWhen::Last, unpack: "gunzip".into() }
    }

    fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
        let mut policy = Policy::default();
        change(&mut policy);
        policy
    }

    #[test]
    fn the_rules_of_a_block_read_as_in_logrotate() {
        let kept = |policy: Policy| rules(&SetSpec::pattern("/x.log ", policy), false);
        for (policy, expected) in [
            (
                Policy::default(),
                "/x.log 1048576 bytes (no old logs will be kept)\nempty log files are rotated, \
                 old logs are removed",
            ),
            (
                Policy::default().rotate_when(RotateWhen::Daily).keep_count(2),
                "/x.log after 1 days (2 rotations)\nempty log files are rotated, old logs are \
                 removed",
            ),
            (
                policy(|p| {
                    p.when = RotateWhen::Hourly;
                    p.count = Count::Unlimited;
                    p.if_empty = false;
                    p.mail = Some(mail());
                    p.min_size = Some(Bytes::new(7));
                    p.max_size = Some(Bytes::new(9));
                    p.min_age_days = Some(3);
                    p.archive_dir = Some(ArchiveDir { path: "old".into(), create: None });
                }),
                "/x.log hourly olddir is old, empty log files are not rotated, only log files >= \
                 7 bytes are rotated, log files >= 9 are rotated earlier, only log files older \
                 than 3 days are rotated, old logs mailed to me@x",
            ),
        ] {
            assert_eq!(kept(policy), expected);
        }
        assert!(
            rules(&SetSpec::pattern("/x", Policy::default()), true)
                .starts_with("/x forced from command line (no old logs")
        );
    }

    #[test]
    fn what_keeps_a_log_from_being_due_is_named() {
        let now = at("2026-11-25 18:43");
        let (old, recent) = (at("2026-01-01 00:00"), at("2026-11-25 18:00"));
        let daily = |change: fn(&mut Policy)| {
            let mut policy = Policy::default().rotate_when(RotateWhen::Daily);
            change(&mut policy);
            policy
        };
        for (policy, len, last, force, expected) in [
            (Policy::default(), 5, old, false, "log size is below the 'size' threshold"),
            (daily(|_| {}), 5, recent, false, "log has already been rotated"),
            (
                daily(|p| p.min_size = Some(Bytes::new(7))),
                5,
                old,
                false,
                "'minsize' directive is used and the log size is smaller than the minsize value",
            ),
            (
                daily(|p| p.min_age_days = Some(7)),
                5,
                old,
                false,
                "'minage' directive is used and the log age is smaller than the minage days",
            ),
            (daily(|p| p.if_empty = false), 0, old, false, "log is empty"),
            (daily(|p| p.if_empty = false), 0, recent, false, "log has already been rotated"),
            (daily(|p| p.if_empty = false), 0, recent, true, "log is empty"),
        ] {
            assert_eq!(why_not(&policy, len, last, now, force), expected);
        }
    }

    #[test]
    fn scripts_that_do_not_run_for_want_of_a_due_log_are_named() {
        let mut policy = Policy::default();
        policy.scripts.first = Some("x".into());
        policy.scripts.pre = Some("x".into());
        assert_eq!(
            not_running(&policy),
            ["not running first action script, since no logs will be rotated"]
        );
        policy.scripts.shared = true;
        policy.scripts.post = Some("x".into());
        assert_eq!(
            not_running(&policy)[1..],
            [
                "not running prerotate script, since no logs will be rotated",
                "not running postrotate script, since no logs were rotated"
            ]
        );
    }
}
