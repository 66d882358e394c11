//! Programs that flood a log through the library, on real disks: sampled, killed, crowded,
//! starved of space, memory and time.
//!
//! What needs root (mounts) or a tool that is missing says `skipped: …`. `LOGQUOTA_LONG=1`
//! floods with more, and kills more often. Nothing here judges how long a call takes.

mod account;
mod company;
mod faults;
mod full;
mod kills;
mod kit;
mod memory;
mod quota;
mod surprises;
mod times;
