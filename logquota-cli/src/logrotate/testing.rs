//! What tests of this folder share.

use std::collections::HashMap;

use chrono::DateTime;
use logquota::Config;
use logquota::inventory::Inventory;
use logquota::plan::{Context, Host, plan};

use super::hooks::Programs;
use super::scene::{Problems, Scene};
use super::state::State;
use super::telling::Telling;
use super::voice::Voice;

/// Gives the programs of a run without logs to `test`; mail is sent with `mail`.
pub(super) fn with_programs<T>(mail: &str, test: impl FnOnce(&mut Programs<'_>) -> T) -> T {
    let (config, inventory) = (Config::default(), Inventory::default());
    let now = DateTime::parse_from_rfc3339("2026-11-21T18:41:36Z").expect("a time");
    let context = Context { now, host: Host::default(), force: false };
    let plan = plan(&inventory, &config, &context);
    let mut voice = Voice::new(false);
    let state = State::read(std::path::Path::new("/dev/null"), &mut voice);
    let scene = Scene {
        config: &config,
        inventory: &inventory,
        plan: &plan,
        state: &state,
        names: &[],
        problems: &Problems::default(),
        due: &HashMap::new(),
        force: false,
        is_root: false,
    };
    test(&mut Programs::new(Telling::new(scene, false, &mut voice), mail.into()))
}
