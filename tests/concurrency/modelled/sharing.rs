//! Threads that share calls: every record once, whole, and each caller learns its own fate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::thread;

use super::kit::{in_many_orders, record};
use super::share::{Share, Turn};
use super::sync::{Mutex, Timers, lock};

/// What was written, as (writer, number), and how.
#[derive(Default)]
struct Log {
    written: Vec<(u8, u8)>,
    /// Records in the largest call for others.
    largest: usize,
    /// Callers that found the log free and wrote for others first.
    helped: usize,
}

/// A log that takes no record whose number is odd, if `fails`.
struct Kit {
    share: Share<(u8, u8)>,
    log: Mutex<Log>,
    fails: bool,
}

impl Kit {
    fn new(fails: bool) -> Arc<Self> {
        Arc::new(Self { share: Share::new(), log: Mutex::new(Log::default()), fails })
    }

    fn put_one(&self, log: &mut Log, bytes: &[u8]) -> Option<(u8, u8)> {
        assert_eq!(bytes, record(bytes[0], bytes[1], bytes.len()), "a record is torn");
        let id = (bytes[0], bytes[1]);
        let is_lost = self.fails && id.1 % 2 == 1;
        if !is_lost {
            log.written.push(id);
        }
        is_lost.then_some(id)
    }

    fn put_left(&self, log: &mut Log, mut bytes: &[u8], lens: &[u32]) -> Vec<(usize, (u8, u8))> {
        log.largest = log.largest.max(lens.len());
        let mut failed = Vec::new();
        for (index, len) in lens.iter().enumerate() {
            let (one, rest) = bytes.split_at(*len as usize);
            failed.extend(self.put_one(log, one).map(|id| (index, id)));
            bytes = rest;
        }
        assert!(bytes.is_empty(), "more bytes than the lengths say");
        failed
    }

    /// What a caller does; whether the record is in the log.
    fn write(&self, writer: u8, number: u8, len: usize) -> bool {
        let record = record(writer, number, len);
        let mut helps = false;
        let put = |log: &mut Log, bytes: &[u8], lens: &[u32]| {
            helps = true;
            self.put_left(log, bytes, lens)
        };
        let lost = match self.share.turn(&self.log, &record, put) {
            Turn::Own(mut log) => {
                log.helped += usize::from(helps);
                self.put_one(&mut log, &record)
            }
            Turn::Done(lost) => lost,
        };
        assert!(lost.is_none_or(|id| id == (writer, number)), "another's fate: {lost:?}");
        lost.is_none()
    }

    fn flush(&self) {
        let mut log = lock(&self.log);
        self.share.write_left(&mut *log, |log, bytes, lens| self.put_left(log, bytes, lens));
    }
}

#[test]
fn each_record_is_written_once_when_its_call_returns_and_in_the_order_of_its_writer() {
    let largest = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&largest);
    in_many_orders(Timers::StandStill, move || {
        let kit = Kit::new(false);
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let kit = Arc::clone(&kit);
                thread::spawn(move || {
                    for number in 0..3 {
                        assert!(kit.write(writer, number, 2 + usize::from(number) * 7));
                        let log = lock(&kit.log);
                        let mine = log.written.iter().filter(|id| id.0 == writer);
                        let numbers: Vec<u8> = mine.map(|id| id.1).collect();
                        assert_eq!(numbers, (0..=number).collect::<Vec<_>>());
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("it ends");
        }
        let log = lock(&kit.log);
        assert_eq!(log.written.len(), 9);
        assert_eq!(kit.share.waiting(), (0, 0));
        seen.fetch_max(log.largest, Ordering::Relaxed);
    });
    assert_eq!(largest.load(Ordering::Relaxed), 3, "one writes for all in some order");
}

#[test]
fn each_caller_learns_its_own_fate_and_none_is_left_over() {
    in_many_orders(Timers::StandStill, || {
        let kit = Kit::new(true);
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let kit = Arc::clone(&kit);
                thread::spawn(move || {
                    for number in [1, 0, 3] {
                        assert_eq!(kit.write(writer, number, 5), number == 0);
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("it ends");
        }
        assert_eq!(kit.share.waiting(), (0, 0));
        assert_eq!(lock(&kit.log).written.len(), 3);
    });
}

/// Rotations and flushes come between, and callers that find the log free.
#[test]
fn what_was_left_is_written_by_whoever_has_the_log_next() {
    let helped = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&helped);
    in_many_orders(Timers::StandStill, move || {
        let kit = Kit::new(true);
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let kit = Arc::clone(&kit);
                thread::spawn(move || [2, 5].map(|number| kit.write(writer, number, 9)))
            })
            .collect();
        kit.flush();
        kit.flush();
        for writer in writers {
            assert_eq!(writer.join().expect("it ends"), [true, false]);
        }
        assert_eq!(kit.share.waiting(), (0, 0));
        seen.fetch_add(lock(&kit.log).helped, Ordering::Relaxed);
    });
    assert_ne!(helped.load(Ordering::Relaxed), 0, "nobody wrote for others before its own");
}

/// More than a batch holds waits for the log itself.
#[test]
fn records_that_do_not_fit_into_the_batch_are_written_by_their_own_callers() {
    in_many_orders(Timers::StandStill, || {
        let kit = Kit::new(false);
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let kit = Arc::clone(&kit);
                thread::spawn(move || kit.write(writer, 0, 30 << 10))
            })
            .collect();
        for writer in writers {
            assert!(writer.join().expect("it ends"));
        }
        let log = lock(&kit.log);
        assert!(log.written.len() == 4 && log.largest <= 2, "{}", log.largest);
    });
}
