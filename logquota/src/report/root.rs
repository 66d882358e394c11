//! The disk of another machine that a plan is for.

use serde::{Deserialize, Serialize};

use super::PathJson;
use super::bonds::machine_digest_of;
use crate::plan::Disk;

/// The disk of another machine, mounted here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootJson {
    /// Where it is mounted, absolute.
    pub path: PathJson,
    /// That machine's name; empty if it is not known.
    pub host: String,
    /// A digest of what tells that machine from every other.
    pub machine: String,
    /// Its device.
    pub dev: u64,
    /// The inode of its root.
    pub ino: u64,
    /// The number of its mount, see [`Meta::mount`](crate::stamp::Meta::mount).
    pub mount: u64,
}

impl RootJson {
    /// The JSON view of a disk.
    #[must_use]
    pub fn new(disk: &Disk) -> Self {
        Self {
            path: PathJson::new(&disk.path),
            host: disk.name.clone(),
            machine: machine_digest_of(&disk.machine_id),
            dev: disk.id.dev,
            ino: disk.id.ino,
            mount: disk.mount,
        }
    }
}
