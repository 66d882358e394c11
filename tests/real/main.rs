//! The real program on real file systems: killed, starved, lied to, and watched.
//!
//! What needs root (mounts) or a tool that is missing says `skipped: …`. `LOGQUOTA_LONG=1`
//! makes the tests that stop the program everywhere try more.

mod acl;
mod append;
mod ballast;
mod bare;
mod calls;
mod cut_to_free;
mod disk;
mod faults;
mod free;
mod full;
mod in_place;
mod kill;
mod kill_free;
mod kit;
mod machine;
mod memory;
mod sparse;
mod special;
mod trim;
mod two_disks;
