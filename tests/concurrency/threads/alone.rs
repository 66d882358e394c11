//! One thread: what the answers are.

use std::time::{Duration, Instant};

use super::WhenFull;
use super::queue::{Flushed, GATHER, Pushed, Queue, Taken};

/// Nothing in these tests takes so long.
const LONG: Duration = Duration::from_secs(600);

fn queue(records: usize, bytes: usize, when_full: WhenFull) -> Queue {
    Queue::new(records, bytes, when_full).expect("so little memory")
}

fn take(queue: &Queue, most: usize) -> (Vec<u8>, Vec<u32>) {
    let (mut out, mut lengths) = (Vec::new(), Vec::new());
    let taken = queue.take(&mut out, &mut lengths, most, Duration::ZERO);
    let (records, bytes) = (lengths.len() as u64, out.len() as u64);
    assert_eq!(taken, Taken::Records { records, bytes });
    (out, lengths)
}

#[test]
fn the_room_is_what_was_asked_for_to_the_byte_and_record() {
    let by_bytes = queue(10, 300, WhenFull::DropNewest);
    for len in [100, 150, 50] {
        assert_eq!(by_bytes.push(&vec![1; len]), Pushed::Accepted);
    }
    assert_eq!(by_bytes.push(b"x"), Pushed::Full);
    assert_eq!(by_bytes.push(b""), Pushed::Accepted);
    assert_eq!(by_bytes.waiting(), (4, 300));

    let by_records = queue(2, 300, WhenFull::DropNewest);
    assert_eq!(by_records.push(b"x"), Pushed::Accepted);
    assert_eq!(by_records.push(b""), Pushed::Accepted);
    assert_eq!(by_records.push(b""), Pushed::Full);
    assert_eq!(by_records.push(b""), Pushed::Full);
    assert_eq!(take(&by_records, 10), (b"x".to_vec(), vec![1, 0]));
    assert_eq!(by_records.push(b""), Pushed::Accepted);
}

#[test]
fn a_record_longer_than_the_queue_is_too_large_and_one_as_long_is_not() {
    for when_full in [WhenFull::Block, WhenFull::DropNewest, WhenFull::DropOldest] {
        for bytes in [1, 63, 64, 65, 1_000, 100_000, 10_000_000] {
            let queue = queue(2, bytes, when_full);
            let record: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
            assert_eq!(queue.push(&vec![0; bytes + 1]), Pushed::TooLarge);
            assert_eq!(queue.push(&record), Pushed::Accepted);
            let (out, lengths) = take(&queue, 1);
            assert!(out == record, "{bytes} bytes came out changed");
            assert_eq!(lengths, [bytes as u32]);
        }
    }
}

#[test]
fn as_many_whole_records_are_taken_as_fit_and_one_if_none_does() {
    let queue = queue(10, 1_000, WhenFull::Block);
    for len in [10, 20, 30, 200] {
        assert_eq!(queue.push(&vec![len; usize::from(len)]), Pushed::Accepted);
    }
    assert_eq!(take(&queue, 5).1, [10]);
    assert_eq!(take(&queue, 60).1, [20, 30]);
    assert_eq!(take(&queue, 60).1, [200]);
}

#[test]
fn what_is_taken_is_appended() {
    let queue = queue(10, 1_000, WhenFull::Block);
    assert_eq!(queue.push(b"second"), Pushed::Accepted);
    let (mut out, mut lengths) = (b"first".to_vec(), vec![5]);
    let taken = queue.take(&mut out, &mut lengths, 100, LONG);
    assert_eq!(taken, Taken::Records { records: 1, bytes: 6 });
    assert_eq!((out, lengths), (b"firstsecond".to_vec(), vec![5, 6]));
}

#[test]
fn taken_records_are_waiting_until_they_are_done() {
    let queue = queue(10, 1_000, WhenFull::Block);
    assert_eq!(queue.push(b"one"), Pushed::Accepted);
    assert_eq!(queue.push(b"three"), Pushed::Accepted);
    take(&queue, 3);
    assert_eq!(queue.waiting(), (2, 8));
    assert!(!queue.is_dry());
    take(&queue, 5);
    assert_eq!(queue.waiting(), (2, 8));
    assert!(queue.is_dry());
    queue.done();
    assert_eq!(queue.waiting(), (0, 0));
    assert_eq!(queue.flush(), Flushed::Done);
}

#[test]
fn the_oldest_make_way_as_many_as_needed() {
    let queue = queue(3, 100, WhenFull::DropOldest);
    for len in [30, 30, 30] {
        assert_eq!(queue.push(&vec![1; len]), Pushed::Accepted);
    }
    let one = Pushed::AcceptedAfterDropping { records: 1, bytes: 30 };
    assert_eq!(queue.push(b"for want of a record"), one);
    let two = Pushed::AcceptedAfterDropping { records: 2, bytes: 60 };
    assert_eq!(queue.push(&[2; 70]), two);
    assert_eq!(queue.waiting(), (2, 90));
    assert_eq!(take(&queue, 1_000).1, [20, 70]);
}

#[test]
fn patience_ends() {
    let queue = queue(10, 100, WhenFull::Block);
    let (mut out, mut lengths) = (Vec::new(), Vec::new());
    for patience in [Duration::ZERO, Duration::from_millis(1), GATHER, GATHER * 2] {
        assert_eq!(queue.take(&mut out, &mut lengths, 10, patience), Taken::TimedOut);
        assert_eq!(queue.push(b"a record"), Pushed::Accepted);
        let one = Taken::Records { records: 1, bytes: 8 };
        assert_eq!(queue.take(&mut out, &mut lengths, 10, patience), one);
        assert_eq!(queue.take(&mut out, &mut lengths, 10, patience), Taken::TimedOut);
    }
}

/// There is no consumer, so nothing but time can end it.
#[test]
fn who_waits_for_a_while_waits_no_longer() {
    let queue = queue(1, 100, WhenFull::BlockFor(Duration::from_millis(2)));
    assert_eq!(queue.push(b"one"), Pushed::Accepted);
    assert_eq!(queue.push(b"two"), Pushed::Full);
    assert_eq!(queue.push(b"three"), Pushed::Full);
    take(&queue, 100);
    assert_eq!(queue.push(b"four"), Pushed::Accepted);
}

/// The clock is the only one who could tell: each would wait, and get in at the end.
#[test]
fn nobody_waits_behind_one_who_has_given_up() {
    let queue = queue(100, 100, WhenFull::BlockFor(Duration::from_millis(50)));
    assert_eq!(queue.push(&[1; 60]), Pushed::Accepted);
    assert_eq!(queue.push(&[2; 60]), Pushed::Full);
    let started = Instant::now();
    for _ in 0..40 {
        assert_eq!(queue.push(b"x"), Pushed::Accepted);
    }
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn a_closed_queue_is_emptied_and_then_at_its_end() {
    let queue = queue(10, 100, WhenFull::Block);
    assert_eq!(queue.push(b"one"), Pushed::Accepted);
    queue.close();
    queue.close();
    assert_eq!(queue.push(b"two"), Pushed::Closed);
    assert_eq!(take(&queue, 100).0, b"one");
    queue.done();
    let (mut out, mut lengths) = (Vec::new(), Vec::new());
    assert_eq!(queue.take(&mut out, &mut lengths, 100, LONG), Taken::Ended);
    assert_eq!(queue.abandon(), (0, 0));
}

#[test]
fn a_queue_that_no_memory_can_hold_is_an_error() {
    assert!(Queue::new(10, usize::MAX, WhenFull::Block).is_err());
    assert!(Queue::new(usize::MAX, 10, WhenFull::Block).is_err());
    assert!(Queue::new(10, usize::MAX / 4, WhenFull::Block).is_err());
}

#[test]
fn a_queue_without_room_for_a_byte_takes_empty_records() {
    let queue = queue(0, 0, WhenFull::DropNewest);
    assert_eq!(queue.push(b"x"), Pushed::TooLarge);
    assert_eq!(queue.push(b""), Pushed::Accepted);
    assert_eq!(queue.push(b""), Pushed::Full);
    assert_eq!(take(&queue, 0), (Vec::new(), vec![0]));
}
