//! What a plan promises, as properties over generated inventories, and the decisions of
//! single logs as tables.
//!
//! Each property runs 10,000 cases, or as many as `LOGQUOTA_CASES` says. They are
//! the same in every run; `PROPTEST_RNG_SEED=$RANDOM` in front tries others.

mod ballast;
mod classic;
mod due;
mod footprint;
mod free;
mod order;
mod promises;
mod reference;
mod together;
