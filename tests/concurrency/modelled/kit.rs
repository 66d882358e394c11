//! Schedules, writers that number their records, and a consumer that checks them.

use std::sync::Arc;
use std::time::Duration;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::Mutex;
use shuttle::thread::{self, JoinHandle};

use super::WhenFull;
use super::queue::{Pushed, Queue, Taken};
use super::sync::{Timers, set_timers};

/// No timer that the queue's owner set.
pub(super) const NO_HURRY: Duration = Duration::MAX;

/// Schedules of each kind that a test tries.
const SCHEDULES: usize = 1_000;

/// Preemptions at the worst place that a schedule of the second kind has; few bugs need more.
const PREEMPTIONS: usize = 3;

const SEED: u64 = 0x10_6400;

/// Runs `scenario` under many schedules; it must come to its end in each.
pub(super) fn in_many_orders(timers: Timers, scenario: impl Fn() + Send + Sync + 'static) {
    let is_long = std::env::var_os("LOGQUOTA_LONG").is_some_and(|value| value == "1");
    let schedules = if is_long { SCHEDULES * 50 } else { SCHEDULES };
    let scenario = Arc::new(scenario);
    set_timers(timers);
    run(RandomScheduler::new_from_seed(SEED, schedules), Arc::clone(&scenario));
    run(PctScheduler::new_from_seed(SEED, PREEMPTIONS, schedules), scenario);
}

fn run(scheduler: impl Scheduler + 'static, scenario: Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = shuttle::Config::new();
    // Known: the model's atomics are stronger than the real ones.
    config.silence_warnings = true;
    shuttle::Runner::new(scheduler, config).run(move || scenario());
}

/// A queue that the model can hold; shared as the appender shares it.
pub(super) fn queue(records: usize, bytes: usize, when_full: WhenFull) -> Arc<Queue> {
    Arc::new(Queue::new(records, bytes, when_full).expect("so little memory"))
}

/// The record number `number` of `writer`, `len` bytes long: every byte depends on both, so
/// that a record that is put together from two is noticed.
pub(super) fn record(writer: u8, number: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![writer, number];
    bytes.extend((2..len).map(|at| writer ^ number.rotate_left(3) ^ at as u8));
    bytes
}

/// What became of the records that one writer pushed.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    /// Numbers of those that were accepted.
    pub(super) accepted: Vec<u8>,
    pub(super) full: usize,
    pub(super) closed: usize,
    pub(super) dropped_records: u64,
    pub(super) dropped_bytes: u64,
}

impl Pushes {
    pub(super) fn push(&mut self, queue: &Queue, writer: u8, number: u8, len: usize) {
        match queue.push(&record(writer, number, len)) {
            Pushed::Accepted => self.accepted.push(number),
            Pushed::AcceptedAfterDropping { records, bytes } => {
                assert!(records > 0, "it says that it dropped nothing");
                self.accepted.push(number);
                self.dropped_records += records;
                self.dropped_bytes += bytes;
            }
            Pushed::Full => self.full += 1,
            Pushed::Closed => self.closed += 1,
            Pushed::TooLarge => panic!("{len} bytes are said to be too many"),
        }
    }
}

/// Starts a writer of one record of each of `lengths`.
pub(super) fn writer(
    queue: &Arc<Queue>,
    writer: u8,
    lengths: &'static [usize],
) -> JoinHandle<Pushes> {
    let queue = Arc::clone(queue);
    thread::spawn(move || {
        let mut pushes = Pushes::default();
        for (number, len) in (0..).zip(lengths) {
            pushes.push(&queue, writer, number, *len);
        }
        pushes
    })
}

pub(super) fn join<T>(handles: Vec<JoinHandle<T>>) -> Vec<T> {
    handles.into_iter().map(|handle| handle.join().expect("it does not panic")).collect()
}

/// Records that are done, as (writer, number), in the order in which they were taken.
pub(super) type Log = Arc<Mutex<Vec<(u8, u8)>>>;

pub(super) fn log() -> Log {
    Arc::new(Mutex::new(Vec::new()))
}

/// Takes once, writes to `log`, and is done.
pub(super) fn take_once(queue: &Queue, log: &Log, most: usize, patience: Duration) -> Taken {
    let (mut out, mut lengths) = (Vec::new(), Vec::new());
    let taken = queue.take(&mut out, &mut lengths, most, patience);
    let (mut records, mut bytes) = (0, 0);
    let mut rest = out.as_slice();
    for len in lengths {
        let (found, later) = rest.split_at(len as usize);
        assert_eq!(found, record(found[0], found[1], found.len()), "a record is torn");
        log.lock().expect("no thread panics").push((found[0], found[1]));
        rest = later;
        records += 1;
        bytes += u64::from(len);
    }
    assert!(rest.is_empty(), "more bytes than the lengths say");
    match taken {
        Taken::Records { .. } => {
            assert_eq!(taken, Taken::Records { records, bytes });
            assert!(records > 0, "it took nothing and says otherwise");
            assert!(records == 1 || bytes <= most as u64, "{bytes} bytes are too many");
            queue.done();
        }
        Taken::TimedOut => assert_eq!(records, 0, "there were records"),
        Taken::Ended => assert!(records == 0 && queue.is_dry(), "there were records"),
    }
    taken
}

/// Starts a consumer that goes on until the queue has ended.
pub(super) fn consumer(queue: &Arc<Queue>, log: &Log, most: usize) -> JoinHandle<()> {
    let (queue, log) = (Arc::clone(queue), Arc::clone(log));
    thread::spawn(move || while take_once(&queue, &log, most, NO_HURRY) != Taken::Ended {})
}

/// What is in `log` of `writer`; the numbers have to ascend.
pub(super) fn numbers_of(log: &Log, writer: u8) -> Vec<u8> {
    let log = log.lock().expect("no thread panics");
    let numbers: Vec<u8> =
        log.iter().filter(|found| found.0 == writer).map(|found| found.1).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "writer {writer} is out of order: {numbers:?}");
    numbers
}
