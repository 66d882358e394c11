//! The appender with a queue in front, as its users have it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use logquota::appender::{Appender, Delivery, Fate, WhenFull};
use logquota::units::Bytes;

/// What the other writer has time for: enough to keep the queue full to the end.
const OTHERS_MAX: usize = 200_000;

fn records_in(path: &std::path::Path, writer: u8) -> usize {
    let text = std::fs::read(path).expect("the log");
    text.split(|byte| *byte == b'\n').filter(|line| line.first() == Some(&writer)).count()
}

/// The writer of the queue keeps what does not fill a block, for the next one. It kept it
/// after the last one, too, and while others wrote it kept something at any time.
#[test]
fn a_flush_ends_while_others_write_and_everything_is_in_the_log_then() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("app.log");
    let log = Appender::builder(&path)
        .rotate_at(Bytes::gib(1))
        .delivery(Delivery::Queued {
            records: 10_000,
            bytes: Bytes::mib(1),
            when_full: WhenFull::Block,
        })
        .open()
        .expect("it opens");
    let is_over = AtomicBool::new(false);
    let write = |line: &[u8]| {
        assert_eq!(log.write_record(line).expect("it is open"), Fate::Accepted);
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let line = [&[b'b'; 119][..], b"\n"].concat();
            for _ in 0..OTHERS_MAX {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                write(&line);
            }
        });
        for number in 1..=5 {
            write(b"a few\n");
            log.flush().expect("it is written");
            assert_eq!(records_in(&path, b'a'), number);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    log.flush().expect("it is written");
    assert_eq!(log.stats().waiting, 0);
    let stats = log.close().expect("it closes");
    assert_eq!(stats.received, stats.written);
    assert_eq!(records_in(&path, b'a') + records_in(&path, b'b'), stats.written as usize);
}
