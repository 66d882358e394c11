//! Claims about the JSON view; the shapes themselves are pinned in `tests/cli`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::inventory::{Dir, DirId};
use crate::plan::{Expect, Reason};
use crate::stamp::FileId;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).expect(text).with_timezone(&Utc)
}

fn plan_with(name: &OsStr) -> Plan {
    let dir = DirId(1);
    let id = FileId { dev: 1, ino: 2, btime: None };
    let step = Step {
        set: 0,
        log: Some(0),
        action: Action::Delete {
            at: Place { dir, name: name.to_owned() },
            shred: None,
            same_as: None,
            head: None,
        },
        expect: Expect::Nothing,
        bytes: Bytes::kib(4),
        reason: Reason::MaxFiles { files: 3, limit: 2 },
        used_after: Bytes::kib(8),
        needs: Vec::new(),
        only_below: None,
    };
    Plan {
        id: "abc".into(),
        host: Host {
            name: "here".into(),
            machine_id: "one".into(),
            boot_id: "first".into(),
            disk: None,
        },
        purpose: crate::plan::Purpose::Routine,
        policy: String::new(),
        created: at("2026-11-21T12:00:00Z").fixed_offset(),
        global_quota: None,
        sets: Vec::new(),
        steps: vec![step],
        due: Vec::new(),
        verdicts: Vec::new(),
        problems: Vec::new(),
        unmet: Vec::new(),
        dirs: BTreeMap::from([(dir, Dir { path: "/logs".into(), id, mount: 1, missing: None })]),
    }
}

fn json(name: &str) -> PlanJson {
    PlanJson::new(&plan_with(OsStr::new(name)), SourceJson::default(), PLAN_VALID_SECONDS)
}

#[test]
fn a_plan_that_was_written_reads_the_same() {
    let plan = json("app.log.3");
    let text = serde_json::to_vec(&plan).expect("plain data");
    assert_eq!(PlanJson::parse(&text).expect("what was written"), plan);
    assert!(String::from_utf8_lossy(&text).contains(r#""created":"2026-11-21T12:00:00Z""#));
}

#[test]
fn h13_a_name_that_is_not_utf8_keeps_every_byte() {
    let name = OsStr::from_bytes(b"app\xff\xfe.log.1");
    let plan = PlanJson::new(&plan_with(name), SourceJson::default(), PLAN_VALID_SECONDS);
    let step = plan.steps.first().expect("one step");
    let exact = step.path_b64.as_ref().expect("not UTF-8");
    assert_eq!(STANDARD.decode(exact).expect("base64"), b"/logs/app\xff\xfe.log.1");
    let path = PathBuf::from(OsString::from(name));
    let text = serde_json::to_string(&PathJson::new(&path)).expect("plain data");
    let back: PathJson = serde_json::from_str(&text).expect("what was written");
    assert_eq!(back.to_path(), Some(path));
}

#[test]
fn h22_a_plan_of_another_version_or_with_unknown_members_is_refused() {
    let text = serde_json::to_string(&json("a.log.1")).expect("plain data");
    let parse = |text: &str| PlanJson::parse(text.as_bytes()).map_err(|e| e.to_string());
    let newer = text.replace("logquota.plan/1", "logquota.plan/2");
    assert_eq!(
        parse(&newer).expect_err("another version"),
        "its schema is `logquota.plan/2`, this program reads `logquota.plan/1`"
    );
    let more = text.replacen('{', r#"{"extra":1,"#, 1);
    assert!(parse(&more).expect_err("unknown member").contains("unknown field `extra`"));
    assert!(parse(&format!("{text} x")).is_err());
    for cut in 0..text.len() {
        assert!(parse(&text[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn h23_a_plan_is_for_one_host_and_one_hour() {
    let plan = json("a.log.1");
    let here =
        Host { name: "here".into(), machine_id: "one".into(), boot_id: "first".into(), disk: None };
    let refused = |host: &Host, now: &str| plan.is_for(host, at(now)).map_err(|e| e.to_string());
    assert_eq!(refused(&here, "2026-11-21T12:00:00Z"), Ok(()));
    assert_eq!(refused(&here, "2026-11-21T13:00:00Z"), Ok(()));
    assert_eq!(refused(&here, "2026-11-21T11:55:00Z"), Ok(()));
    let late = refused(&here, "2026-11-21T13:00:01Z").expect_err("an hour later");
    assert!(late.starts_with("it expired at 2026-11-21 13:00:00 UTC"), "{late}");
    assert!(refused(&here, "2026-11-21T11:54:59Z").expect_err("too early").contains("future"));
    let there = Host { name: "there".into(), ..here.clone() };
    assert!(refused(&there, "2026-11-21T12:00:00Z").expect_err("host").contains("`there`"));
    let again = Host { boot_id: "second".into(), ..here.clone() };
    assert!(refused(&again, "2026-11-21T12:00:00Z").expect_err("boot").contains("restarted"));
    let twin = Host { machine_id: "two".into(), ..here };
    assert!(refused(&twin, "2026-11-21T12:00:00Z").expect_err("twin").contains("machine"));
}

#[test]
fn h23_a_plan_holds_as_long_as_it_says_and_a_week_at_most() {
    let mut plan = json("a.log.1");
    assert_eq!(plan.valid_for(), PLAN_VALID_SECONDS);
    let here =
        Host { name: "here".into(), machine_id: "one".into(), boot_id: "first".into(), disk: None };
    plan.expires = at("2026-11-21T12:30:00Z");
    assert!(plan.is_for(&here, at("2026-11-21T12:30:00Z")).is_ok());
    assert!(plan.is_for(&here, at("2026-11-21T12:30:01Z")).is_err());
    plan.expires = at("2099-01-01T00:00:00Z");
    assert!(plan.is_for(&here, at("2026-11-28T12:00:00Z")).is_ok());
    assert!(plan.is_for(&here, at("2026-11-28T12:00:01Z")).is_err());
    plan.expires = at("2020-01-01T00:00:00Z");
    assert!(plan.is_for(&here, at("2026-11-21T12:00:00Z")).is_err());
}

#[test]
fn h20_of_a_file_that_is_not_what_it_was_it_is_said_how() {
    let (was, mut is) = (json("a.log.1"), json("a.log.1"));
    let mut see = |seen: &str, was: &PlanJson| {
        is.steps.iter_mut().for_each(|step| step.seen = Some(seen.to_owned()));
        was.changed_file(&is)
    };
    let with = |seen: &str| {
        let mut plan = was.clone();
        plan.steps.iter_mut().for_each(|step| step.seen = Some(seen.to_owned()));
        plan
    };
    assert_eq!(see("aa-bb", &with("aa-bb")), None);
    assert_eq!(see("aa-cc", &with("aa-bb")), Some((0, FileChange::Changed)));
    assert_eq!(see("dd-bb", &with("aa-bb")), Some((0, FileChange::Replaced)));
    assert_eq!(see("dd", &with("aa")), Some((0, FileChange::Replaced)));
}

#[test]
fn the_first_step_that_differs_is_named() {
    let (was, mut is) = (json("a.log.1"), json("a.log.2"));
    assert_eq!(was.differs_from(&was), None);
    assert_eq!(was.differs_from(&is).map(|d| d.index), Some(0));
    is.steps.clear();
    assert!(was.differs_from(&is).is_some_and(|d| d.was.is_some() && d.is.is_none()));
}
