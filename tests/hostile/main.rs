//! Folders that somebody else may write to: whatever lies there, nothing outside is touched,
//! nothing inside that is not ours, and no run blocks.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use logquota::apply::{NoHooks, Options, Report, apply};
use logquota::fs::os::{OsFs, host};
use logquota::inventory::Inventory;
use logquota::plan::{Context, Plan, Purpose, Violation, check, plan};
use logquota::scan::scan;
use logquota::{Bytes, Config, Policy, SetSpec};

mod cases;
mod limits;
mod locks;
mod space;
mod swap;
mod trees;

/// When everything happens here: 2026-11-21, noon, UTC.
pub(crate) fn noon() -> DateTime<FixedOffset> {
    DateTime::from_timestamp(1_795_262_400, 0).expect("a time").fixed_offset()
}

/// How long a run may take. It takes milliseconds; whoever opens a pipe waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: needs root");
    }
    is_root
}

/// What a run saw, planned and did.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) inventory: Inventory,
    pub(crate) plan: Plan,
    pub(crate) report: Report,
}

/// One whole run.
pub(crate) fn run(os: &OsFs, config: &Config, force: bool) -> Run {
    let (inventory, plan) = look(os, config, force);
    let report = apply(&plan, os, &mut NoHooks, &Options { threads: 2 });
    Run { inventory, plan, report }
}

/// The same, whatever the checker says of the plan.
pub(crate) fn run_unchecked(os: &OsFs, config: &Config, force: bool) -> Run {
    let (inventory, plan, _) = try_look(os, config, force);
    let report = apply(&plan, os, &mut NoHooks, &Options { threads: 2 });
    Run { inventory, plan, report }
}

/// Everything of a run but the last step.
pub(crate) fn look(os: &OsFs, config: &Config, force: bool) -> (Inventory, Plan) {
    let (inventory, plan, violations) = try_look(os, config, force);
    assert!(violations.is_empty(), "{violations:#?}\n{plan:#?}");
    (inventory, plan)
}

/// The same, with what the checker says of the plan.
pub(crate) fn try_look(
    os: &OsFs,
    config: &Config,
    force: bool,
) -> (Inventory, Plan, Vec<Violation>) {
    let inventory = scan(os, config, &|_| None).expect("a scan");
    let context = Context { now: noon(), host: host(), force, purpose: Purpose::Routine };
    let plan = plan(&inventory, config, &context);
    let violations = check(&inventory, config, &plan);
    (inventory, plan, violations)
}

/// Does something in a thread of its own and gives up on it after a while.
pub(crate) fn within_patience<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        let _ = done.send(what());
    });
    match wait.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it is stuck"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            worker.join().expect("it does not panic");
            unreachable!("it sent nothing and did not panic")
        }
    }
}

/// A configuration for every log in a folder, compressed, numbered, due at once.
pub(crate) fn folder_config(root: &Path, policy: Policy) -> Config {
    Config::single(SetSpec::pattern(root.join("*.log"), policy))
}

pub(crate) fn numbered(quota: Bytes) -> Policy {
    let mut policy = Policy::for_directory(quota);
    policy.naming = logquota::Naming::numbered(1);
    policy.when = logquota::policy::RotateWhen::Size(Bytes::new(1));
    policy
}

pub(crate) fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    fs::write(path, content).expect("a file");
}
