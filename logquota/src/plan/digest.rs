//! The id of a plan: a digest over host, directories, policy, and every step with the
//! identity of its file.
//!
//! What may change without changing the plan is left out: the length of a log that is only
//! renamed grows every second.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use sha2::{Digest as _, Sha256};

use super::trim::cut_at_most;
use super::{Action, Expect, Plan, Purpose};
use crate::inventory::{Dir, Place};
use crate::policy::Config;
use crate::stamp::{FileId, Stamp};

/// Fields are written with their length, so that no two plans write the same bytes.
struct Writer<'a>(Sha256, &'a Plan);

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    fn debug(&mut self, value: &impl std::fmt::Debug) {
        self.bytes(format!("{value:?}").as_bytes());
    }

    fn id(&mut self, id: &FileId) {
        self.debug(&(id.dev, id.ino, id.btime));
    }

    fn stamp(&mut self, stamp: &Stamp) {
        self.id(&stamp.id);
        self.debug(&(stamp.len, stamp.mtime, stamp.ctime, stamp.nlink));
    }

    fn place(&mut self, place: Option<&Place>) {
        match place {
            Some(place) => {
                let dir = self.1.dirs.get(&place.dir).map(|dir| dir.path.as_os_str());
                self.bytes(dir.unwrap_or_default().as_bytes());
                self.bytes(place.name.as_bytes());
            }
            None => self.bytes(b""),
        }
    }
}

impl Plan {
    /// Makes what else the plan depends on a part of its id.
    pub fn bind(&mut self, what: &str) {
        let mut out = Sha256::new();
        out.update(b"logquota.bound/1");
        out.update(&self.id);
        out.update(b"\0");
        out.update(what);
        self.id = hexadecimal(out, 16);
    }

    /// The directories that steps name, by path.
    pub fn dirs_of_steps(&self) -> impl Iterator<Item = &Dir> {
        let places = |step: &'_ super::Step| {
            let action = &step.action;
            [action.place(), action.target()].map(|place| place.map(|place| place.dir))
        };
        let mut ids: Vec<_> = self.steps.iter().flat_map(places).flatten().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut dirs: Vec<_> = ids.iter().filter_map(|id| self.dirs.get(id)).collect();
        dirs.sort_by(|a, b| a.path.cmp(&b.path));
        dirs.into_iter()
    }
}

/// 32 hexadecimal digits.
pub(super) fn digest(plan: &Plan, config: &Config) -> String {
    let mut out = Writer(Sha256::new(), plan);
    out.bytes(b"logquota.plan/1");
    out.bytes(plan.host.name.as_bytes());
    out.bytes(plan.host.machine_id.as_bytes());
    out.bytes(plan.host.boot_id.as_bytes());
    if let Some(disk) = &plan.host.disk {
        out.debug(disk);
    }
    if plan.purpose != Purpose::Routine {
        out.debug(&(plan.purpose, plan.created.timestamp()));
    }
    out.debug(config);
    for dir in plan.dirs_of_steps() {
        out.bytes(dir.path.as_os_str().as_bytes());
        out.debug(&dir.mount);
        out.id(&dir.id);
    }
    for step in &plan.steps {
        out.bytes(step.action.name().as_bytes());
        out.place(step.action.place());
        out.place(step.action.target());
        out.debug(&(&step.needs, step.only_below.map(|below| below.wanted)));
        match &step.expect {
            Expect::Nothing => out.bytes(b"nothing"),
            Expect::Made => out.bytes(b"made"),
            Expect::SameFile(id) => out.id(id),
            Expect::SameOldest(id, oldest) => {
                out.id(id);
                out.debug(oldest);
            }
            Expect::Unchanged(stamp) => out.stamp(stamp),
        }
        match &step.action {
            Action::RunHook { script, args, .. } => {
                out.bytes(script.as_bytes());
                for arg in args {
                    out.bytes(arg.as_bytes());
                }
            }
            Action::Create { attributes, like, .. } => {
                out.debug(attributes);
                out.place(like.as_ref().map(|like| &like.at));
                out.debug(&like.as_ref().map(|like| (like.id, like.keeps_acl)));
            }
            Action::MakeDir { attributes, .. } => out.debug(attributes),
            Action::Compress { program, codec, level, keep, .. } => {
                out.debug(&(program, codec, level, keep));
            }
            Action::Squeeze { codec, level, begun, .. } => {
                out.debug(&(codec, level, begun.as_ref().map(|id| (id.dev, id.ino, id.btime))));
            }
            Action::Delete { shred, same_as, head, .. } => {
                out.debug(shred);
                out.place(same_as.as_deref());
                if let Some(head) = head {
                    out.bytes(head.name.as_bytes());
                    out.stamp(&head.stamp);
                }
            }
            Action::Truncate { same_as, .. } => out.place(same_as.as_ref()),
            Action::Mail { message, .. } => out.debug(message),
            Action::Copy { keeps_time, .. } => out.debug(keeps_time),
            // What a person has seen holds for a little more, too: others write meanwhile.
            Action::Trim { cut, .. } if plan.purpose != Purpose::Routine => {
                out.debug(&cut_at_most(*cut));
            }
            Action::RestoreBallast { size, left, .. } => out.debug(&(size, left)),
            // How much is cut off grows with the log.
            Action::Rename { .. } | Action::Trim { .. } | Action::ReleaseBallast { .. } => {}
        }
    }
    hexadecimal(out.0, 16)
}

/// 16 hexadecimal digits.
pub(super) fn policy(config: &Config) -> String {
    let mut out = Sha256::new();
    out.update(b"logquota.policy/1");
    out.update(format!("{config:?}"));
    hexadecimal(out, 8)
}

fn hexadecimal(digest: Sha256, bytes: usize) -> String {
    let mut text = String::new();
    for byte in digest.finalize().iter().take(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
