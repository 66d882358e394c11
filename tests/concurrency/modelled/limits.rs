//! A queue that is full: who waits, what is dropped, and that all of it is accounted for.

use std::time::Duration;

use super::WhenFull;
use super::kit::{
    NO_HURRY, Pushes, consumer, in_many_orders, join, log, numbers_of, queue, record, take_once,
    writer,
};
use super::queue::{Flushed, Pushed};
use super::sync::Timers;

#[test]
fn what_is_accepted_is_taken_or_counted_as_dropped() {
    in_many_orders(Timers::RunOut, || {
        let (queue, log) = (queue(4, 150, WhenFull::DropOldest), log());
        let consumer = consumer(&queue, &log, 80);
        let lengths: [&[usize]; 3] = [&[40, 2, 70, 9], &[30, 33, 5, 64], &[2, 150, 3]];
        let writers = (0..).zip(lengths).map(|(id, lengths)| writer(&queue, id, lengths));
        let pushes = join(writers.collect());
        queue.close();
        consumer.join().expect("it ends");

        let dropped: u64 = pushes.iter().map(|pushes| pushes.dropped_records).sum();
        let dropped_bytes: u64 = pushes.iter().map(|pushes| pushes.dropped_bytes).sum();
        let (mut taken, mut taken_bytes, mut accepted_bytes) = (0, 0, 0);
        for (id, (pushes, lengths)) in (0..).zip(pushes.iter().zip(lengths)) {
            assert_eq!(pushes.accepted.len(), lengths.len(), "the newest are never dropped");
            let numbers = numbers_of(&log, id);
            taken += numbers.len();
            taken_bytes +=
                numbers.iter().map(|number| lengths[usize::from(*number)]).sum::<usize>();
            accepted_bytes += lengths.iter().sum::<usize>();
        }
        assert_eq!(taken as u64 + dropped, 11);
        assert_eq!(queue.accepted(), (11, accepted_bytes as u64));
        assert_eq!(taken_bytes as u64 + dropped_bytes, accepted_bytes as u64);
        assert_eq!(queue.waiting(), (0, 0));
    });
}

#[test]
fn the_records_that_are_left_are_the_newest() {
    in_many_orders(Timers::StandStill, || {
        let (queue, log) = (queue(3, 100, WhenFull::DropOldest), log());
        let pushes = join(vec![writer(&queue, 0, &[9; 4]), writer(&queue, 1, &[9; 4])]);
        queue.close();
        while queue.waiting().0 > 0 {
            let _ = take_once(&queue, &log, 1_000, NO_HURRY);
        }
        let dropped: u64 = pushes.iter().map(|pushes| pushes.dropped_records).sum();
        assert_eq!(dropped, 5);
        let left: Vec<u8> = [numbers_of(&log, 0), numbers_of(&log, 1)].concat();
        assert_eq!(left.len(), 3);
        for id in 0..2 {
            let numbers = numbers_of(&log, id);
            let newest: Vec<u8> = (0..4).skip(4 - numbers.len()).collect();
            assert_eq!(numbers, newest);
        }
    });
}

#[test]
fn a_flush_ends_although_the_oldest_are_dropped() {
    in_many_orders(Timers::StandStill, || {
        let (queue, log) = (queue(2, 100, WhenFull::DropOldest), log());
        let consumer = consumer(&queue, &log, 20);
        let others = vec![writer(&queue, 1, &[60, 9, 9]), writer(&queue, 2, &[9, 80])];
        let mut pushes = Pushes::default();
        pushes.push(&queue, 0, 0, 20);
        assert_eq!(queue.flush(), Flushed::Done);
        join(others);
        queue.close();
        consumer.join().expect("it ends");
    });
}

#[test]
fn what_is_refused_as_newest_is_counted_and_room_is_found_again() {
    in_many_orders(Timers::StandStill, || {
        let (queue, log) = (queue(2, 100, WhenFull::DropNewest), log());
        let consumer = consumer(&queue, &log, 64);
        let writers = vec![
            writer(&queue, 0, &[40, 2, 70]),
            writer(&queue, 1, &[30, 90, 5]),
            writer(&queue, 2, &[2, 100, 3]),
        ];
        let pushes = join(writers);
        for (id, pushes) in (0..).zip(&pushes) {
            assert_eq!(pushes.accepted.len() + pushes.full, 3);
            assert_eq!(queue.flush(), Flushed::Done);
            assert_eq!(numbers_of(&log, id), pushes.accepted);
        }
        // Nothing is left, so the largest fits: nobody remembers that it was full.
        assert_eq!(queue.push(&record(0, 9, 100)), Pushed::Accepted);
        queue.close();
        consumer.join().expect("it ends");
    });
}

/// It would sleep on for more to gather, and more and more would be refused.
#[test]
fn who_is_refused_wakes_a_gathering_consumer() {
    in_many_orders(Timers::StandStill, || {
        let (queue, log) = (queue(100, 1_000, WhenFull::DropNewest), log());
        assert_eq!(queue.push(&record(0, 0, 10)), Pushed::Accepted);
        let _ = take_once(&queue, &log, 1_000, NO_HURRY);
        let writer = writer(&queue, 1, &[400, 700]);
        let _ = take_once(&queue, &log, 1_000, NO_HURRY);
        let pushes = writer.join().expect("it ends");
        assert_eq!(pushes.accepted.len() + pushes.full, 2);
        assert_eq!(numbers_of(&log, 1).first(), Some(&0));
    });
}

#[test]
fn who_waits_for_room_for_a_while_gets_in_or_is_told() {
    in_many_orders(Timers::RunOut, || {
        let while_ = WhenFull::BlockFor(Duration::from_millis(100));
        let (queue, log) = (queue(2, 100, while_), log());
        let consumer = consumer(&queue, &log, 64);
        let writers = vec![
            writer(&queue, 0, &[40, 2, 70]),
            writer(&queue, 1, &[30, 90, 5]),
            writer(&queue, 2, &[2, 100, 3]),
        ];
        let pushes = join(writers);
        assert_eq!(queue.flush(), Flushed::Done);
        for (id, pushes) in (0..).zip(&pushes) {
            assert_eq!(pushes.accepted.len() + pushes.full, 3);
            assert_eq!(numbers_of(&log, id), pushes.accepted);
        }
        // Nobody is left who keeps others out.
        assert_eq!(queue.push(&record(0, 9, 100)), Pushed::Accepted);
        queue.close();
        consumer.join().expect("it ends");
    });
}

/// Each needs the queue for itself, and nobody else may have it while they wait.
#[test]
fn records_as_large_as_the_queue_get_through_a_crowd_of_small_ones() {
    in_many_orders(Timers::StandStill, || {
        let (queue, log) = (queue(8, 200, WhenFull::Block), log());
        let consumer = consumer(&queue, &log, 50);
        let writers = vec![
            writer(&queue, 0, &[200, 200]),
            writer(&queue, 1, &[150, 2, 199]),
            writer(&queue, 2, &[20, 20, 20, 20]),
        ];
        join(writers);
        queue.close();
        consumer.join().expect("it ends");
        let counts = [0, 1, 2].map(|id| numbers_of(&log, id).len());
        assert_eq!(counts, [2, 3, 4]);
    });
}
