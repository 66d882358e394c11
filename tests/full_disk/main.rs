//! Each file system, full to its last block or inode, and what the real program makes of that.
//!
//! Everything needs root, for the mounts, and says `skipped: …` otherwise. `LOGQUOTA_LONG=1`
//! writes a million records where it is 20,000, and does a thousand rounds where it is 60.

mod copies;
mod hazards;
mod kit;
mod row;
mod swaps;
mod table;
mod writer;
