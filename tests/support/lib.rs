//! What the whole-system tests share: sandboxes, generators, a slow reference planner,
//! canary trees, and the bodies of the fuzz targets.

pub mod canary;
pub mod clock;
pub mod flood;
pub mod fuzz_config;
pub mod fuzz_names;
pub mod fuzz_plan;
pub mod generate;
pub mod halves;
pub mod model;
pub mod mounts;
pub mod records;
pub mod reference;
pub mod sandbox;
pub mod show;
pub mod strace;
pub mod tree;
pub mod workloads;

use proptest::test_runner::Config;

/// How the properties run: 10,000 cases, or as many as `LOGQUOTA_CASES` says. Failing cases
/// are printed, not written into the source tree.
#[must_use]
pub fn proptest_config() -> Config {
    let cases = std::env::var("LOGQUOTA_CASES").ok().and_then(|text| text.parse().ok());
    Config {
        cases: cases.unwrap_or(10_000),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    }
}
