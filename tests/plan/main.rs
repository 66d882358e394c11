//! What a plan promises, as properties over generated inventories, and the decisions of
//! single logs as tables.
//!
//! Each property runs 10,000 cases, or as many as `LOGQUOTA_CASES` says. A failing case is
//! printed with its seed.

mod due;
mod promises;
mod reference;
mod together;
