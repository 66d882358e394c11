//! Any bytes as a way of naming and a file name. `cargo +nightly fuzz run archive_name`; an input that fails belongs into
//! `corpus/archive_name`, where the tests on stable find it too.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| logquota_tests::fuzz_names::fuzz_names(data));
