//! System calls per record: counts, not times.

use std::time::Duration;

use logquota::fs::sim::SimOp;
use logquota::{Bytes, Codec, Delivery, Interval};

use crate::kit::Kit;

#[test]
fn a_written_record_is_one_system_call_and_nothing_else() {
    let mut kit = Kit::new();
    let builder = kit.builder().rotate_at(Bytes::mib(8)).quota(Bytes::mib(32));
    let builder = builder.compress(Codec::Zstd).rotate_every(Interval::Day);
    let log = builder.open().expect("a log");
    kit.flood(&log, 1);
    let before = kit.fs.calls();
    kit.flood(&log, 1000);
    assert_eq!(kit.fs.calls() - before, 1000);
    assert_eq!(kit.calls(SimOp::Append, before), 1000);
}

#[test]
fn buffered_records_are_one_system_call_for_each_aligned_block() {
    let mut kit = Kit::new();
    let delivery = Delivery::Buffered { bytes: Bytes::kib(4), interval: Duration::from_secs(1) };
    let builder = kit.builder().rotate_at(Bytes::mib(8)).delivery(delivery);
    let log = builder.open().expect("a log");
    kit.flood(&log, 1);
    let before = kit.fs.calls();
    kit.flood(&log, 4096);
    let appended = kit.calls(SimOp::Append, before);
    assert_eq!((kit.fs.calls() - before, appended), (100, 100));
    let log = kit.fs.log();
    // The first one ends where a block of the file does.
    let mut blocks = log.iter().filter(|call| call.op == SimOp::Append && call.at >= 4096);
    assert!(blocks.all(|call| call.at % 4096 == 0), "aligned to the file");
}

#[test]
fn a_rotation_is_a_look_a_rename_an_open_and_a_reservation() {
    let mut kit = Kit::new();
    let log = kit.builder().open().expect("a log");
    kit.flood(&log, 10);
    let before = kit.fs.calls();
    assert!(log.rotate().expect("room"));
    let calls = kit.fs.log();
    let until = |op| calls.iter().position(|call| call.index > before && call.op == op);
    let (rename, reserve) = (until(SimOp::Rename), until(SimOp::Reserve));
    let (rename, reserve) = (rename.expect("a rename"), reserve.expect("a reservation"));
    let first = usize::try_from(before).expect("few");
    assert!(rename < reserve && reserve - first < 9, "{:?}", &calls[first..=reserve]);
}
