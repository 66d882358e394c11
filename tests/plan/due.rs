//! Which logs are due: every criterion of logrotate(8), as tables.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeDelta};
use logquota::inventory::{Dir, DirId, Inventory, Log, Set, Space};
use logquota::plan::{Action, Context, Host, Plan, Purpose, Reason, Step, plan};
use logquota::policy::{Config, Count, Policy, RotateWhen, SetSpec};
use logquota::stamp::{FileId, Kind, Meta, Stamp, Timestamp};
use logquota::units::Bytes;

/// One log, one question.
#[derive(Clone)]
struct Ask {
    policy: Policy,
    len: u64,
    now: DateTime<FixedOffset>,
    last: Option<NaiveDateTime>,
    /// Seconds since the last change of the log.
    idle: i64,
    force: bool,
}

impl Ask {
    fn new(when: RotateWhen, now: &str, last: &str) -> Self {
        let last = (!last.is_empty()).then(|| local(last));
        let policy = Policy::default().rotate_when(when).keep_count(3);
        Self { policy, len: 5_000, now: at(now), last, idle: 60, force: false }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn plan(&self) -> Plan {
        let id = FileId { dev: 1, ino: 2, btime: None };
        let dir = Dir { path: "/var/log".into(), id, mount: 1, missing: None };
        let time = Timestamp { secs: self.now.timestamp() - self.idle, nanos: 0 };
        let stamp = Stamp {
            id: FileId { dev: 1, ino: 3, btime: None },
            len: self.len,
            allocated: Bytes::new(self.len).in_blocks(Bytes::kib(4)),
            mtime: time,
            ctime: time,
            nlink: 1,
        };
        let log = Log {
            dir: DirId(1),
            name: "app.log".into(),
            active: Some(Meta {
                stamp,
                accessed: stamp.mtime,
                kind: Kind::File,
                mode: 0o640,
                uid: 0,
                gid: 0,
                mount: 1,
            }),
            archive_dir: DirId(1),
            archives: Vec::new(),
            leftovers: Vec::new(),
            obstacles: Vec::new(),
            blocked: None,
            is_held: false,
            oldest: None,
            last_rotated: self.last,
        };
        let space = Space {
            total: Bytes::gib(1),
            free: Bytes::mib(500),
            free_files: Some(1000),
            total_files: Some(2000),
            block: Bytes::kib(4),
        };
        let set = Set { logs: vec![log], overhead: Bytes::ZERO, space, dev: 1 };
        let inventory = Inventory {
            dirs: BTreeMap::from([(DirId(1), dir)]),
            sets: vec![set],
            ballasts: Vec::new(),
            notes: Vec::new(),
        };
        let config = Config::single(SetSpec::pattern("/var/log/*.log", self.policy.clone()));
        let context = Context {
            now: self.now,
            host: Host::default(),
            force: self.force,
            purpose: Purpose::Routine,
        };
        plan(&inventory, &config, &context)
    }

    /// Why it rotates, if it does.
    fn reason(&self) -> Option<Reason> {
        let plan = self.plan();
        let is_rotation = |action: &Action| matches!(action, Action::Rename { .. });
        plan.steps.into_iter().find(|step| is_rotation(&step.action)).map(|step| step.reason)
    }

    fn is_due(&self) -> bool {
        self.reason().is_some()
    }
}

fn at(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).expect(text)
}

fn local(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect(text)
}

#[test]
fn the_time_criteria_compare_the_local_calendar() {
    let weekly = |weekday| RotateWhen::Weekly { weekday };
    let monthly = |day| RotateWhen::Monthly { day };
    let minutes = |n: u32| RotateWhen::Minutes(n.try_into().expect("not zero"));
    // 2026-11-21 is a Saturday.
    let cases = [
        (RotateWhen::Hourly, "2026-11-21 18:00", "2026-11-21T18:59:00Z", false),
        (RotateWhen::Hourly, "2026-11-21 18:59", "2026-11-21T19:00:00Z", true),
        (RotateWhen::Hourly, "2026-11-20 18:30", "2026-11-21T18:30:00Z", true),
        (RotateWhen::Hourly, "2026-10-21 18:30", "2026-11-21T18:30:00Z", true),
        (RotateWhen::Hourly, "2025-11-21 18:30", "2026-11-21T18:30:00Z", true),
        (RotateWhen::Daily, "2026-11-21 00:00", "2026-11-21T23:59:00Z", false),
        (RotateWhen::Daily, "2026-11-20 23:59", "2026-11-21T00:00:00Z", true),
        (RotateWhen::Daily, "2026-10-21 12:00", "2026-11-21T12:00:00Z", true),
        (RotateWhen::Daily, "2025-11-21 12:00", "2026-11-21T12:00:00Z", true),
        (weekly(7), "2026-11-14 23:59", "2026-11-21T00:00:00Z", true),
        (weekly(7), "2026-11-15 00:00", "2026-11-21T23:59:00Z", false),
        (weekly(6), "2026-11-20 23:59", "2026-11-21T00:00:00Z", true),
        (weekly(6), "2026-11-21 00:01", "2026-11-21T23:59:00Z", false),
        (weekly(0), "2026-11-20 12:00", "2026-11-21T12:00:00Z", false),
        (weekly(0), "2026-11-21 12:00", "2026-11-22T00:00:00Z", true),
        (weekly(5), "2026-11-15 12:00", "2026-11-21T12:00:00Z", false),
        (weekly(5), "2026-11-14 12:00", "2026-11-21T00:00:00Z", true),
        (monthly(0), "2026-11-01 00:00", "2026-11-30T23:59:00Z", false),
        (monthly(0), "2026-10-31 23:59", "2026-11-01T00:00:00Z", true),
        (monthly(0), "2025-11-21 12:00", "2026-11-21T12:00:00Z", true),
        (monthly(21), "2026-11-20 23:59", "2026-11-21T00:00:00Z", true),
        (monthly(21), "2026-11-21 00:01", "2026-11-21T23:59:00Z", false),
        (monthly(22), "2026-11-20 12:00", "2026-11-21T12:00:00Z", false),
        (monthly(22), "2026-10-21 12:00", "2026-11-21T00:00:00Z", true),
        (monthly(31), "2026-11-29 12:00", "2026-11-30T12:00:00Z", true),
        (monthly(31), "2026-02-27 12:00", "2026-02-28T12:00:00Z", true),
        (monthly(31), "2026-11-30 01:00", "2026-11-30T12:00:00Z", false),
        (RotateWhen::Yearly, "2026-01-01 00:00", "2026-12-31T23:59:00Z", false),
        (RotateWhen::Yearly, "2025-12-31 23:59", "2026-01-01T00:00:00Z", true),
        (minutes(5), "2026-11-21 18:00", "2026-11-21T18:05:59Z", false),
        (minutes(5), "2026-11-21 18:00", "2026-11-21T18:06:00Z", true),
        (RotateWhen::Never, "2020-01-01 00:00", "2026-11-21T18:06:00Z", false),
        // Seen for the first time: the period begins.
        (RotateWhen::Hourly, "", "2026-11-21T18:06:00Z", false),
        (RotateWhen::Yearly, "", "2026-11-21T18:06:00Z", false),
    ];
    for (when, last, now, is_due) in cases {
        assert_eq!(Ask::new(when, now, last).is_due(), is_due, "{when:?} {last} {now}");
    }
}

#[test]
fn sizes_are_at_least_above_or_below_as_logrotate_has_them() {
    let (now, last, today) = ("2026-11-21T18:00:00Z", "2026-11-20 18:00", "2026-11-21 17:00");
    let size = |n| RotateWhen::Size(Bytes::new(n));
    for (limit, is_due) in [(4_999, true), (5_000, true), (5_001, false)] {
        // `size` is "at least", whatever the state says.
        assert_eq!(Ask::new(size(limit), now, "2099-01-01 00:00").is_due(), is_due, "{limit}");
        // `maxsize` is "more than", before the time has come.
        let max = |ask: &mut Ask| ask.policy.max_size = Some(Bytes::new(limit));
        let max_is_due = Ask::new(RotateWhen::Daily, now, today).with(max).is_due();
        assert_eq!(max_is_due, limit < 5_000, "{limit}");
        // `minsize` holds back what is shorter.
        let min = |ask: &mut Ask| ask.policy.min_size = Some(Bytes::new(limit));
        let min_is_due = Ask::new(RotateWhen::Daily, now, last).with(min).is_due();
        assert_eq!(min_is_due, limit <= 5_000, "{limit}");
    }
    let off = |ask: &mut Ask| ask.policy.max_size = Some(Bytes::ZERO);
    assert!(!Ask::new(RotateWhen::Daily, now, today).with(off).is_due());
}

#[test]
fn maxsize_is_asked_before_minsize_minage_and_the_time() {
    let all = |ask: &mut Ask| {
        ask.policy.max_size = Some(Bytes::new(4_000));
        ask.policy.min_size = Some(Bytes::new(6_000));
        ask.policy.min_age_days = Some(5);
    };
    let ask = Ask::new(RotateWhen::Daily, "2026-11-21T18:00:00Z", "2026-11-21 17:59").with(all);
    assert!(matches!(ask.reason(), Some(Reason::MaxSize { .. })));
}

#[test]
fn minage_waits_for_more_than_so_many_days_without_a_change() {
    let days = |n: i64| n * 86_400;
    for (idle, is_due) in [(days(5), false), (days(5) + 1, true), (-days(9), false)] {
        let ask = Ask::new(RotateWhen::Daily, "2026-11-21T18:00:00Z", "2016-11-20 18:00");
        let ask = ask.with(|ask| {
            ask.policy.min_age_days = Some(5);
            ask.idle = idle;
        });
        assert_eq!(ask.is_due(), is_due, "{idle}");
    }
}

#[test]
fn a_rotation_more_than_25_hours_in_the_future_is_not_believed() {
    let now = "2026-11-21T18:00:00Z";
    let is_future = |ask: &Ask| matches!(ask.reason(), Some(Reason::FutureDate { .. }));
    assert!(is_future(&Ask::new(RotateWhen::Yearly, now, "2026-11-22 19:01")));
    assert!(!is_future(&Ask::new(RotateWhen::Yearly, now, "2026-11-22 19:00")));
    // Neither minsize nor minage holds it back.
    let held = |ask: &mut Ask| {
        ask.policy.min_size = Some(Bytes::mib(1));
        ask.policy.min_age_days = Some(9);
    };
    assert!(is_future(&Ask::new(RotateWhen::Daily, now, "2027-01-01 00:00").with(held)));
    assert!(!is_future(&Ask::new(RotateWhen::Never, now, "2027-01-01 00:00")));
}

#[test]
fn force_makes_every_log_due_except_an_empty_one_under_notifempty() {
    for when in [RotateWhen::Never, RotateWhen::Yearly, RotateWhen::Size(Bytes::gib(1))] {
        let ask = Ask::new(when, "2026-11-21T18:00:00Z", "2026-11-21 18:00");
        let ask = ask.with(|ask| ask.force = true);
        assert_eq!(ask.reason(), Some(Reason::Forced), "{when:?}");
        let empty = ask.with(|ask| ask.len = 0);
        assert!(empty.is_due(), "{when:?}");
        assert!(!empty.with(|ask| ask.policy.if_empty = false).is_due(), "{when:?}");
    }
    let size = Ask::new(RotateWhen::Size(Bytes::ZERO), "2026-11-21T18:00:00Z", "");
    let empty = size.with(|ask| ask.len = 0);
    assert!(empty.is_due());
    assert!(!empty.with(|ask| ask.policy.if_empty = false).is_due());
}

#[test]
fn h58_a_log_changed_in_the_future_or_before_1970_is_due_as_any_other() {
    for idle in [-86_400 * 400, i64::from(i32::MAX) * 2, 3_000_000_000] {
        let ask = Ask::new(RotateWhen::Daily, "2026-11-21T18:00:00Z", "2026-11-20 18:00");
        assert!(ask.with(|ask| ask.idle = idle).is_due(), "{idle}");
    }
}

/// Runs every hour for two days and counts how often the log rotates, when each run writes
/// the local time down as logrotate's state file does.
fn rotations(start: &str, change: &str, offset_after: i32) -> Vec<String> {
    let (mut now, change) = (at(start), at(change));
    let mut last = Some(now.naive_local() - TimeDelta::days(1));
    let mut rotated = Vec::new();
    for _ in 0..48 {
        if now >= change {
            now = now.with_timezone(&FixedOffset::east_opt(offset_after).expect("an offset"));
        }
        let ask = Ask::new(RotateWhen::Daily, "2026-11-21T18:00:00Z", "");
        let ask = ask.with(|ask| {
            ask.now = now;
            ask.last = last;
        });
        if ask.is_due() {
            last = Some(now.naive_local());
            rotated.push(now.to_rfc3339());
        }
        now += TimeDelta::hours(1);
    }
    rotated
}

#[test]
fn h61_a_daily_log_rotates_once_in_a_day_of_23_hours_and_in_one_of_25() {
    // Europe/Berlin: 2026-03-29 02:00 +01:00 is 03:00 +02:00.
    let short = rotations("2026-03-29T00:30:00+01:00", "2026-03-29T01:00:00Z", 7_200);
    assert_eq!(
        short,
        ["2026-03-29T00:30:00+01:00", "2026-03-30T00:30:00+02:00", "2026-03-31T00:30:00+02:00"]
    );
    // 2026-10-25 03:00 +02:00 is 02:00 +01:00.
    let long = rotations("2026-10-25T00:30:00+02:00", "2026-10-25T01:00:00Z", 3_600);
    assert_eq!(long, ["2026-10-25T00:30:00+02:00", "2026-10-26T00:30:00+01:00"]);
}

#[test]
fn h33_a_quota_smaller_than_one_block_takes_the_log_and_says_why() {
    let ask = Ask::new(RotateWhen::Never, "2026-11-21T18:00:00Z", "");
    let ask = ask.with(|ask| {
        ask.policy = ask.policy.clone().quota(Bytes::new(100)).evict_new();
    });
    let plan = ask.plan();
    let deleted = plan.steps.iter().find(|step| matches!(step.action, Action::Delete { .. }));
    let reason = deleted.map(|step| &step.reason);
    assert!(matches!(reason, Some(Reason::QuotaPressure { .. })), "{:?}", plan.steps);
    assert_eq!((plan.sets[0].used_after, plan.sets[0].shortfall), (Bytes::ZERO, Bytes::ZERO));
}

/// Others write it: neither goes in this run, and both are named.
#[test]
fn a_log_in_use_and_what_a_run_has_rotated_stay_whatever_the_quota_is() {
    let ask = Ask::new(RotateWhen::Never, "2026-11-21T18:00:00Z", "");
    let in_use = ask.clone().with(|ask| ask.policy.limits.quota = Some(Bytes::new(100))).plan();
    assert_eq!(in_use.steps, []);
    let rotated = ask.with(|ask| {
        ask.policy.limits.quota = Some(Bytes::new(100));
        ask.policy.count = Count::Unlimited;
        ask.force = true;
    });
    let rotated = rotated.plan();
    assert!(!rotated.steps.is_empty());
    let deletes = |step: &Step| matches!(step.action, Action::Delete { .. });
    assert!(!rotated.steps.iter().any(deletes), "{:?}", rotated.steps);
    for (plan, says) in [(in_use, "is in use and stays"), (rotated, "was rotated just now")] {
        let sums = &plan.sets[0];
        assert_eq!(sums.used_after, sums.used_before);
        assert_eq!(sums.shortfall, sums.used_before.minus(Bytes::new(100)));
        let [told] = plan.unmet.as_slice() else { panic!("{:?}", plan.unmet) };
        assert_eq!((told.path.to_str(), told.is_error), (Some("/var/log/app.log"), true));
        assert!(told.why.starts_with(says) && plan.problems.is_empty(), "{told:?}");
    }
}
