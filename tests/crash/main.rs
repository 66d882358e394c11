//! Machines that stop, disks that fail, and other programs at the worst moment.
//!
//! Every case has a name such as `cut/directory/17/torn/9`; it is printed when the case
//! fails. `LOGQUOTA_SEED=cut/directory/17` runs only the cases whose name begins so.
//! `LOGQUOTA_LONG=1` tries ten times as many seeds.

mod ballast;
mod common;
mod cut_to_free;
mod cuts;
mod errors;
mod extended;
mod halves;
mod hazards;
mod in_place;
mod nested;
mod races;
mod sequences;
mod stays;
mod times;
mod trim;
