//! Cases and plans for people who look at a failing property: one line per file and step.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};

use logquota::inventory::Place;
use logquota::plan::Plan;
use logquota::stamp::Meta;

use crate::generate::{BLOCK, Case};

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.context.now.timestamp();
        writeln!(f, "now {} force {}", self.context.now, self.context.force)?;
        writeln!(f, "global {:?}", self.config.global)?;
        for (set, spec) in self.inventory.sets.iter().zip(&self.config.sets) {
            writeln!(f, "set {} {:?} dev {}", spec.name, set.space, set.dev)?;
            writeln!(f, "  used {} files {} overhead {}", set.used(), set.files(), set.overhead)?;
            writeln!(f, "  {:?}", spec.policy)?;
            for log in &set.logs {
                let line = |f: &mut fmt::Formatter<'_>, name: &OsStr, meta: &Meta| {
                    let stamp = &meta.stamp;
                    writeln!(
                        f,
                        "    {:<24} {} blocks (rest {}) len {} age {} s links {} inode {}:{}",
                        name.to_string_lossy(),
                        stamp.allocated.get() / BLOCK,
                        stamp.allocated.get() % BLOCK,
                        stamp.len,
                        now - stamp.mtime.secs,
                        stamp.nlink,
                        stamp.id.dev,
                        stamp.id.ino,
                    )
                };
                let log_name = log.name.to_string_lossy();
                writeln!(f, "  log {log_name} last {:?} {:?}", log.last_rotated, log.blocked)?;
                if let Some(meta) = &log.active {
                    line(f, &log.name, meta)?;
                }
                for archive in &log.archives {
                    line(f, archive.name(), &archive.meta())?;
                }
                for leftover in &log.leftovers {
                    write!(f, "  {:?}", leftover.kind)?;
                    line(f, &leftover.place.name, &leftover.meta)?;
                }
                if !log.obstacles.is_empty() {
                    writeln!(f, "    obstacles {:?}", log.obstacles)?;
                }
            }
        }
        Ok(())
    }
}

/// A plan, one line per step.
#[must_use]
pub fn show(plan: &Plan) -> String {
    let mut text = String::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let place = |place: Option<&Place>| {
            place.map_or(String::new(), |p| format!("{}/{}", p.dir.0, p.name.to_string_lossy()))
        };
        let (from, to) = (place(step.action.place()), place(step.action.target()));
        let _ = writeln!(
            text,
            "{index} set {} log {:?} {} {from} {to} used {} needs {:?} {:?}",
            step.set,
            step.log,
            step.action.name(),
            step.used_after.get(),
            step.needs,
            step.reason
        );
    }
    for sums in &plan.sets {
        let _ = writeln!(text, "{sums:?}");
    }
    for problem in plan.problems.iter().chain(&plan.unmet) {
        let _ = writeln!(text, "{problem:?}");
    }
    text
}
