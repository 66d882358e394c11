//! A record that is written, or put into a buffer, allocates nothing. A binary of its own:
//! the allocator counts for the whole process.

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use logquota::appender::Fate;
use logquota::clock::ManualClock;
use logquota::{Appender, Bytes, Delivery};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RECORDS: usize = 10_000;

/// How often 10,000 records allocate, on a disk, without a rotation on the way.
fn allocations(delivery: Delivery, record: &[u8]) -> usize {
    let dir = tempfile::tempdir().expect("a folder");
    let noon = DateTime::parse_from_rfc3339("2026-11-21T12:00:00+01:00").expect("a time");
    let log = Appender::builder(dir.path().join("app.log"))
        .rotate_at(Bytes::mib(64))
        .quota(Bytes::mib(200))
        .delivery(delivery)
        .clock(Arc::new(ManualClock::new(noon)))
        .background(false)
        .open()
        .expect("a log");
    let write = || assert_eq!(log.write_record(record).expect("room"), Fate::Accepted);
    // What the first one needs, and the first look at the clock.
    (0..100).for_each(|_| write());
    let region = Region::new(COUNTED);
    (0..RECORDS).for_each(|_| write());
    let change = region.change();
    let stats = log.close().expect("closed");
    assert_eq!(stats.written, u64::try_from(RECORDS).expect("few") + 100, "{stats:?}");
    change.allocations + change.reallocations
}

#[test]
fn no_record_allocates_whether_it_is_written_or_buffered() {
    let interval = Duration::from_secs(1);
    let buffered = |bytes| Delivery::Buffered { bytes, interval };
    for delivery in [Delivery::Written, buffered(Bytes::kib(4)), buffered(Bytes::kib(64))] {
        for len in [120, 2048] {
            let mut record = vec![b'x'; len];
            record[len - 1] = b'\n';
            let count = allocations(delivery, &record);
            assert_eq!(count, 0, "{count} for {RECORDS} records of {len} bytes, {delivery:?}");
        }
    }
}
