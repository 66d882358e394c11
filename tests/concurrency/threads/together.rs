//! Several threads at once, as fast as they can.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::WhenFull;
use super::queue::{Flushed, Pushed, Queue, Taken};

const WRITERS: u64 = 4;
const RECORDS: u64 = 20_000;
const LONG: Duration = Duration::from_secs(600);

/// The writer, the number, and then as much as the number says.
fn record(writer: u64, number: u64, into: &mut Vec<u8>) {
    into.clear();
    into.extend_from_slice(&writer.to_le_bytes());
    into.extend_from_slice(&number.to_le_bytes());
    let len = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    into.extend((0..len).map(|at| (writer + number + at) as u8));
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    accepted_bytes: AtomicU64,
    dropped: AtomicU64,
    dropped_bytes: AtomicU64,
    full: AtomicU64,
    taken: AtomicU64,
    taken_bytes: AtomicU64,
}

impl Counts {
    fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    fn write(&self, queue: &Queue, writer: u64, flushes_every: u64) {
        let mut bytes = Vec::new();
        for number in 0..RECORDS {
            record(writer, number, &mut bytes);
            let pushed = queue.push(&bytes);
            match pushed {
                Pushed::Full => Self::add(&self.full, 1),
                Pushed::Accepted | Pushed::AcceptedAfterDropping { .. } => {
                    Self::add(&self.accepted, 1);
                    Self::add(&self.accepted_bytes, bytes.len() as u64);
                }
                Pushed::TooLarge | Pushed::Closed => panic!("{pushed:?}"),
            }
            if let Pushed::AcceptedAfterDropping { records, bytes } = pushed {
                Self::add(&self.dropped, records);
                Self::add(&self.dropped_bytes, bytes);
            }
            if number % flushes_every == 0 {
                assert_eq!(queue.flush(), Flushed::Done);
            }
        }
    }

    fn read(&self, queue: &Queue) {
        let (mut out, mut lengths, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = [0; WRITERS as usize];
        loop {
            out.clear();
            lengths.clear();
            match queue.take(&mut out, &mut lengths, 8_000, LONG) {
                Taken::Records { records, bytes } => {
                    Self::add(&self.taken, records);
                    Self::add(&self.taken_bytes, bytes);
                }
                Taken::TimedOut => panic!("nothing came for ten minutes"),
                Taken::Ended => return,
            }
            let mut rest = out.as_slice();
            for len in &lengths {
                let (found, later) = rest.split_at(*len as usize);
                let word = |from: usize| {
                    u64::from_le_bytes(found[from..from + 8].try_into().expect("eight"))
                };
                let (writer, number) = (word(0), word(8));
                record(writer, number, &mut expected);
                assert!(found == expected, "record {number} of {writer} is torn");
                let next = &mut next[writer as usize];
                assert!(number >= *next, "{number} of {writer} came after {next}");
                *next = number + 1;
                rest = later;
            }
            assert!(rest.is_empty(), "more bytes than the lengths say");
            queue.done();
        }
    }
}

fn run(when_full: WhenFull, flushes_every: u64) -> Counts {
    let queue = Queue::new(300, 20_000, when_full).expect("so little memory");
    let counts = Counts::default();
    thread::scope(|scope| {
        let reader = scope.spawn(|| counts.read(&queue));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (queue, counts) = (&queue, &counts);
                scope.spawn(move || counts.write(queue, writer, flushes_every))
            })
            .collect();
        for writer in writers {
            writer.join().expect("it does not panic");
        }
        queue.close();
        reader.join().expect("it does not panic");
    });
    assert_eq!(queue.waiting(), (0, 0));
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!(get(&counts.accepted) + get(&counts.full), WRITERS * RECORDS);
    assert_eq!(queue.accepted(), (get(&counts.accepted), get(&counts.accepted_bytes)));
    assert_eq!(get(&counts.accepted), get(&counts.taken) + get(&counts.dropped));
    let out_bytes = get(&counts.taken_bytes) + get(&counts.dropped_bytes);
    assert_eq!(get(&counts.accepted_bytes), out_bytes);
    counts
}

#[test]
fn with_writers_that_wait_every_record_of_four_threads_is_taken_in_order() {
    let counts = run(WhenFull::Block, 1_000);
    assert_eq!(counts.taken.into_inner(), WRITERS * RECORDS);
}

#[test]
fn with_writers_that_wait_a_while_all_is_accounted_for() {
    run(WhenFull::BlockFor(Duration::from_micros(50)), 1_000);
}

#[test]
fn with_the_newest_dropped_all_is_accounted_for() {
    let counts = run(WhenFull::DropNewest, 1_000);
    assert_eq!(counts.dropped.into_inner(), 0);
}

#[test]
fn with_the_oldest_dropped_all_is_accounted_for() {
    let counts = run(WhenFull::DropOldest, 1_000);
    assert_eq!(counts.full.into_inner(), 0);
}
