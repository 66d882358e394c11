//! Any bytes as a configuration. `cargo +nightly fuzz run config`; an input that fails belongs into
//! `corpus/config`, where the tests on stable find it too.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| logquota_tests::fuzz_config::fuzz_config(data));
