//! What tests of this folder share.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use chrono::{DateTime, FixedOffset};
use logquota::Config;
use logquota::inventory::{Inventory, Set};
use logquota::logrotate::Origin;
use logquota::plan::{Context, Host, Plan, Purpose, plan};
use logquota::policy::Identity;

use super::config::{due, names};
use super::hooks::Programs;
use super::scene::{Problems, Scene};
use super::state::State;
use super::telling::Telling;
use super::voice::Voice;

/// The moment of every run.
pub(super) fn now() -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339("2026-11-21T18:41:36Z").expect("a time")
}

/// A plan without anything to do.
pub(crate) fn empty_plan() -> Plan {
    let context =
        Context { now: now(), host: Host::default(), force: false, purpose: Purpose::Routine };
    plan(&Inventory::default(), &Config::default(), &context)
}

/// Gives `test` a run as it is once it is planned.
pub(super) fn with_scene<T>(
    (config, inventory, plan): (&Config, &Inventory, &Plan),
    test: impl FnOnce(Scene<'_>, &mut Voice) -> T,
) -> T {
    let mut voice = Voice::new(false);
    let state = State::read(Path::new("/dev/null"), &mut voice);
    let origin = |set: &Set| Origin {
        file: "conf".into(),
        line: 1,
        pattern: OsString::new(),
        logs: set.logs.iter().map(|log| inventory.path(log.dir, &log.name)).collect(),
    };
    let origins: Vec<_> = inventory.sets.iter().map(origin).collect();
    let scene = Scene {
        config,
        inventory,
        plan,
        state: &state,
        names: &names(&origins, inventory),
        problems: &Problems::new(plan),
        due: &due(plan),
        force: false,
        home: Identity { uid: 1000, gid: 1000 },
        refused: &BTreeMap::new(),
    };
    test(scene, &mut voice)
}

/// Gives the programs of a run without logs to `test`; mail is sent with `mail`.
pub(super) fn with_programs<T>(mail: &str, test: impl FnOnce(&mut Programs<'_>) -> T) -> T {
    let (config, inventory, plan) = (Config::default(), Inventory::default(), empty_plan());
    with_scene((&config, &inventory, &plan), |scene, voice| {
        test(&mut Programs::new(Telling::new(scene, false, voice), mail.into()))
    })
}
