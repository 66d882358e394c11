//! Threads that share calls, on real locks and atomics.

use super::share::{Share, Turn};
use super::sync::{Mutex, lock};

const THREADS: u32 = 4;
const RECORDS: u32 = 20_000;

/// Records are their number; one that 7 divides is not taken.
fn put_all(log: &mut Vec<u32>, bytes: &[u8], lens: &[u32]) -> Vec<(usize, u32)> {
    assert_eq!(bytes.len(), lens.len() * 4);
    let records = bytes.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()));
    let mut failed = Vec::new();
    for (index, record) in records.enumerate() {
        if record.is_multiple_of(7) {
            failed.push((index, record));
        } else {
            log.push(record);
        }
    }
    failed
}

#[test]
fn each_record_is_written_once_and_each_caller_learns_its_own_fate() {
    let share = Share::new();
    let log = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (share, log) = (&share, &log);
            scope.spawn(move || {
                for record in (0..RECORDS).map(|n| n * THREADS + thread) {
                    let bytes = record.to_le_bytes();
                    let lost = match share.turn(log, &bytes, put_all) {
                        Turn::Own(mut log) => {
                            put_all(&mut log, &bytes, &[4]).first().map(|lost| lost.1)
                        }
                        Turn::Done(lost) => lost,
                    };
                    assert_eq!(lost, record.is_multiple_of(7).then_some(record));
                }
            });
        }
    });
    share.write_left(&mut *lock(&log), put_all);
    assert_eq!(share.waiting(), (0, 0));
    let log = lock(&log);
    for thread in 0..THREADS {
        let mine = log.iter().filter(|record| **record % THREADS == thread);
        assert!(mine.is_sorted_by(|a, b| a < b), "thread {thread} is out of order");
    }
    let expected = (0..THREADS * RECORDS).filter(|record| !record.is_multiple_of(7)).count();
    assert_eq!(log.len(), expected);
}
