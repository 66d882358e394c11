//! For which machine a plan is, and for which disk.

use std::path::PathBuf;

use crate::stamp::FileId;

/// The host a plan is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Host {
    /// Its name, for people.
    pub name: String,
    /// What tells it from every other (`/etc/machine-id`), for the plan's id.
    pub machine_id: String,
    /// What tells this start of it from every other; empty where the system does not say.
    pub boot_id: String,
    /// The disk of another machine that is worked on, if it is not this one's own.
    pub disk: Option<Disk>,
}

/// The disk of another machine, mounted here. All paths of its plans are those it has there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Disk {
    /// Where it is mounted.
    pub path: PathBuf,
    /// The folder that is its root.
    pub id: FileId,
    /// The number of its mount; 0 where the kernel does not say.
    pub mount: u64,
    /// That machine's name (`/etc/hostname` there); empty if it is not known.
    pub name: String,
    /// That machine's id (`/etc/machine-id` there); empty if it is not known.
    pub machine_id: String,
}
