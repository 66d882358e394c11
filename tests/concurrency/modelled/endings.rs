//! Closing, and a consumer that goes away.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;

use super::WhenFull;
use super::kit::{
    NO_HURRY, consumer, in_many_orders, join, log, numbers_of, queue, record, take_once, writer,
};
use super::queue::{Flushed, Pushed, Taken};
use super::sync::Timers;

const MODES: [WhenFull; 4] = [
    WhenFull::Block,
    WhenFull::BlockFor(Duration::from_millis(100)),
    WhenFull::DropNewest,
    WhenFull::DropOldest,
];

#[test]
fn nothing_that_was_accepted_is_lost_when_the_queue_is_closed_while_writers_write() {
    for when_full in MODES {
        in_many_orders(Timers::RunOut, move || {
            let (queue, log) = (queue(3, 100, when_full), log());
            let consumer = consumer(&queue, &log, 64);
            let writers = vec![writer(&queue, 0, &[40, 2, 70]), writer(&queue, 1, &[30, 90, 5])];
            let closer = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    queue.close();
                    assert_eq!(queue.push(&record(2, 0, 3)), Pushed::Closed);
                })
            };
            let pushes = join(writers);
            closer.join().expect("it ends");
            consumer.join().expect("it ends");
            let (mut accepted, mut taken, mut dropped) = (0, 0, 0);
            for (id, pushes) in (0..).zip(&pushes) {
                assert_eq!(pushes.accepted.len() + pushes.full + pushes.closed, 3);
                accepted += pushes.accepted.len() as u64;
                dropped += pushes.dropped_records;
                taken += numbers_of(&log, id).len() as u64;
            }
            assert_eq!(accepted, taken + dropped);
            assert_eq!(queue.waiting(), (0, 0));
            assert_eq!(queue.flush(), Flushed::Done);
        });
    }
}

/// Nobody takes anything before.
#[test]
fn closing_releases_writers_that_wait_for_room() {
    for when_full in [WhenFull::Block, WhenFull::BlockFor(Duration::from_millis(100))] {
        in_many_orders(Timers::StandStill, move || {
            let (queue, log) = (queue(2, 100, when_full), log());
            let writers = vec![
                writer(&queue, 0, &[10, 10, 10]),
                writer(&queue, 1, &[90, 20]),
                writer(&queue, 2, &[100]),
            ];
            let closer = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.close())
            };
            let pushes = join(writers);
            closer.join().expect("it ends");
            while take_once(&queue, &log, 64, NO_HURRY) != Taken::Ended {}
            for (id, pushes) in (0..).zip(&pushes) {
                assert_eq!(pushes.full, 0);
                assert_eq!(numbers_of(&log, id), pushes.accepted);
            }
        });
    }
}

/// The consumer sleeps: for the first record, for more of them, or not yet.
#[test]
fn closing_wakes_the_consumer() {
    in_many_orders(Timers::StandStill, || {
        let (queue, log) = (queue(100, 1_000, WhenFull::Block), log());
        let consumer = consumer(&queue, &log, 64);
        let writer = writer(&queue, 0, &[10, 10]);
        queue.close();
        let accepted = writer.join().expect("it ends").accepted;
        consumer.join().expect("it ends");
        assert_eq!(numbers_of(&log, 0), accepted);
    });
}

/// It dies with records in its hand, whose fate it does not know.
#[test]
fn nobody_waits_for_a_consumer_that_is_gone() {
    for when_full in MODES {
        in_many_orders(Timers::StandStill, move || {
            let (queue, log) = (queue(2, 100, when_full), log());
            let consumer = {
                let (queue, log) = (Arc::clone(&queue), Arc::clone(&log));
                thread::spawn(move || {
                    let _ = take_once(&queue, &log, 64, NO_HURRY);
                    let (mut out, mut lengths) = (Vec::new(), Vec::new());
                    let _ = queue.take(&mut out, &mut lengths, 64, Duration::ZERO);
                    queue.abandon()
                })
            };
            let flushing = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.flush())
            };
            let writers = vec![writer(&queue, 0, &[40, 2, 70, 3]), writer(&queue, 1, &[30, 90, 5])];
            let pushes = join(writers);
            let _ = flushing.join().expect("it ends");
            let (lost, lost_bytes) = consumer.join().expect("it ends");

            let accepted: usize = pushes.iter().map(|pushes| pushes.accepted.len()).sum();
            let dropped: u64 = pushes.iter().map(|pushes| pushes.dropped_records).sum();
            let done = log.lock().expect("no thread panics").len() as u64;
            assert_eq!(accepted as u64, done + dropped + lost);
            assert!(lost_bytes >= 2 * lost, "{lost_bytes} bytes in {lost} records");
            assert_eq!(queue.waiting(), (0, 0));
            assert_eq!(queue.push(b"later"), Pushed::Closed);
            assert_eq!(queue.flush(), Flushed::Abandoned);
            assert_eq!(take_once(&queue, &log, 64, NO_HURRY), Taken::Ended);
        });
    }
}
