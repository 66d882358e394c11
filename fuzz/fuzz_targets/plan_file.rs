//! Any bytes as a plan file. `cargo +nightly fuzz run plan_file`; an input that fails belongs into
//! `corpus/plan_file`, where the tests on stable find it too.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| logquota_tests::fuzz_plan::fuzz_plan(data));
