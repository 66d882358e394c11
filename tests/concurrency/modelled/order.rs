//! What comes out: everything that went in, once, in order; and who waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shuttle::thread;

use super::WhenFull;
use super::kit::{
    NO_HURRY, consumer, in_many_orders, join, log, numbers_of, queue, record, take_once, writer,
};
use super::queue::{Flushed, Pushed, Taken};
use super::sync::Timers;

/// Writers block, are woken, and nobody needs a timer for that.
#[test]
fn every_record_leaves_once_and_in_the_order_of_its_writer() {
    in_many_orders(Timers::StandStill, || {
        let (queue, log) = (queue(3, 100, WhenFull::Block), log());
        let consumer = consumer(&queue, &log, 64);
        let writers = vec![
            writer(&queue, 0, &[40, 2, 70, 9]),
            writer(&queue, 1, &[30, 33, 5, 64]),
            writer(&queue, 2, &[2, 100, 3]),
        ];
        let accepted: Vec<_> = join(writers).into_iter().map(|pushes| pushes.accepted).collect();
        queue.close();
        consumer.join().expect("it ends");
        assert_eq!(accepted, [vec![0, 1, 2, 3], vec![0, 1, 2, 3], vec![0, 1, 2]]);
        for (writer, accepted) in (0..).zip(accepted) {
            assert_eq!(numbers_of(&log, writer), accepted);
        }
        assert_eq!(queue.waiting(), (0, 0));
    });
}

/// What one thread was told is accepted leaves before what another pushes after that.
#[test]
fn the_order_of_acceptance_is_the_order_out() {
    in_many_orders(Timers::StandStill, || {
        let (queue, log) = (queue(2, 100, WhenFull::Block), log());
        let consumer = consumer(&queue, &log, 10);
        let bystander = writer(&queue, 2, &[40, 50]);
        let mut order = Vec::new();
        for number in 0..3 {
            for writer in 0..2 {
                let queue = Arc::clone(&queue);
                let push = move || queue.push(&record(writer, number, 30));
                let pushed = thread::spawn(push).join().expect("it ends");
                assert_eq!(pushed, Pushed::Accepted);
                order.push((writer, number));
            }
        }
        bystander.join().expect("it ends");
        queue.close();
        consumer.join().expect("it ends");
        let mut log = log.lock().expect("no thread panics").clone();
        log.retain(|found| found.0 != 2);
        assert_eq!(log, order);
    });
}

#[test]
fn the_first_record_after_a_quiet_time_wakes_the_consumer() {
    in_many_orders(Timers::StandStill, || {
        let (queue, log) = (queue(100, 1_000, WhenFull::Block), log());
        let consumer = {
            let (queue, log) = (Arc::clone(&queue), Arc::clone(&log));
            thread::spawn(move || take_once(&queue, &log, 500, NO_HURRY))
        };
        let writers = vec![writer(&queue, 0, &[10]), writer(&queue, 1, &[10])];
        let taken = consumer.join().expect("it ends");
        join(writers);
        let Taken::Records { records, .. } = taken else { panic!("{taken:?}") };
        assert_eq!(queue.waiting().0, 2 - records);
    });
}

#[test]
fn so_does_the_first_after_the_consumer_found_nothing() {
    in_many_orders(Timers::StandStill, || {
        let (queue, log) = (queue(100, 1_000, WhenFull::Block), log());
        assert_eq!(queue.push(&record(0, 0, 10)), Pushed::Accepted);
        let _ = take_once(&queue, &log, 500, NO_HURRY);
        assert_eq!(take_once(&queue, &log, 500, Duration::ZERO), Taken::TimedOut);
        let writer = writer(&queue, 1, &[10]);
        let taken = take_once(&queue, &log, 500, NO_HURRY);
        assert_eq!(taken, Taken::Records { records: 1, bytes: 10 });
        writer.join().expect("it ends");
    });
}

/// The consumer has just taken something and sleeps for more to gather.
#[test]
fn half_of_the_records_or_a_quarter_of_the_bytes_wake_a_gathering_consumer() {
    for lengths in [&[2, 2][..], &[100, 150]] {
        in_many_orders(Timers::StandStill, move || {
            let (queue, log) = (queue(4, 1_000, WhenFull::Block), log());
            assert_eq!(queue.push(&record(9, 0, 3)), Pushed::Accepted);
            let _ = take_once(&queue, &log, 400, NO_HURRY);
            let writer = writer(&queue, 0, lengths);
            let taken = take_once(&queue, &log, 400, NO_HURRY);
            writer.join().expect("it ends");
            assert_eq!(
                taken,
                Taken::Records { records: 2, bytes: lengths.iter().sum::<usize>() as u64 }
            );
        });
    }
}

#[test]
fn a_flush_ends_when_what_was_pushed_before_is_done_and_not_sooner() {
    in_many_orders(Timers::StandStill, || {
        let (queue, log) = (queue(4, 100, WhenFull::Block), log());
        let consumer = consumer(&queue, &log, 64);
        let flushing = (0..3)
            .map(|writer| {
                let (queue, log) = (Arc::clone(&queue), Arc::clone(&log));
                thread::spawn(move || {
                    for number in 0..3 {
                        assert_eq!(queue.push(&record(writer, number, 20)), Pushed::Accepted);
                        if number != 1 {
                            assert_eq!(queue.flush(), Flushed::Done);
                            let done = numbers_of(&log, writer);
                            assert!(done.contains(&number), "{number} is not in {done:?}");
                        }
                    }
                })
            })
            .collect();
        join(flushing);
        queue.close();
        consumer.join().expect("it ends");
    });
}

#[test]
fn a_flush_does_not_wait_for_what_comes_after_it() {
    let was_left = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&was_left);
    in_many_orders(Timers::StandStill, move || {
        let (queue, log) = (queue(4, 100, WhenFull::Block), log());
        assert_eq!(queue.push(&record(0, 0, 20)), Pushed::Accepted);
        let consumer = consumer(&queue, &log, 20);
        let later = writer(&queue, 1, &[20, 20]);
        assert_eq!(queue.flush(), Flushed::Done);
        if queue.waiting().0 > 0 {
            seen.store(true, Ordering::Relaxed);
        }
        assert_eq!(numbers_of(&log, 0), [0]);
        later.join().expect("it ends");
        queue.close();
        consumer.join().expect("it ends");
    });
    assert!(was_left.load(Ordering::Relaxed), "every flush waited for all there was");
}
