//! What ours does not do yet. A case in here that passes fails the test, so that this cannot rot.

/// Whether the program under test can be called as `logrotate` at all. Until then the original is
/// compared with itself: a case that has two results of its own proves nothing.
pub(crate) const OURS_IS_THERE: bool = true;

/// Names of cases, and why they fail.
pub(crate) const NOT_YET: &[(&str, &str)] = &[];
