//! Any bytes as a state file. `cargo +nightly fuzz run state`; an input that fails belongs into
//! `corpus/state`, where the tests on stable find it too.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| logquota_tests::fuzz_config::fuzz_state(data));
