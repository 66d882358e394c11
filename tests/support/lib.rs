//! What the whole-system tests share: sandboxes, generators, a slow reference planner,
//! canary trees, and the bodies of the fuzz targets.

pub mod sandbox;
pub mod workloads;
pub mod generate;
