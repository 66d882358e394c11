//! The bounded queue between the threads that write records and the one thread that appends
//! them to the log. It knows records and no files.
//!
//! Records leave in the order in which they were accepted, whoever pushed them, and each one
//! exactly once: accepted = taken + dropped as the oldest, and what an abandoned queue held.
//!
//! Nobody is woken without need, since a system call costs as much as a hundred records:
//!
//! - The consumer is woken by the first record after a quiet time. While records come, it
//!   sleeps up to [`GATHER`] between two blocks, and is woken sooner by a good block's worth,
//!   by whoever waits for it, and by nobody else.
//! - Threads that found the queue full are woken together, when half of it is free.
//!
//! One lock guards everything and is held for a copy of one record. What the consumer takes it
//! copies without the lock.

mod ring;

use std::collections::TryReserveError;
use std::time::Duration;

use super::WhenFull;
use super::sync::{self, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering};
use ring::Ring;

/// How long the consumer lets records gather before it takes less than a good block.
pub(super) const GATHER: Duration = Duration::from_millis(5);

/// Records that are taken at a time: those without a byte would have no end.
const TAKEN_MAX: usize = 1 << 16;

/// The consumer is awake, and no number of records wakes it.
const AWAKE: usize = usize::MAX;

/// Lengths from this on are refused without a look at the queue: none.
const NONE_REFUSED: usize = usize::MAX;

/// What became of a record that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Pushed {
    /// It will be taken, or dropped as the oldest.
    Accepted,
    /// As above; but older ones were dropped for it, never to be taken.
    AcceptedAfterDropping { records: u64, bytes: u64 },
    /// There was no room, or none in time.
    Full,
    /// It is longer than the whole queue.
    TooLarge,
    /// The queue was closed, or its consumer is gone.
    Closed,
}

/// What the consumer got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Taken {
    /// At least one.
    Records { records: u64, bytes: u64 },
    /// There was none in time.
    TimedOut,
    /// There will be none any more.
    Ended,
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Flushed {
    /// What had been accepted before was taken and done, or dropped as the oldest.
    Done,
    /// The consumer is gone.
    Abandoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing is accepted any more; what was accepted can be taken.
    Closed,
    /// And nobody will take it.
    Abandoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// Somebody found no room. Until half of the queue is free, nobody passes him by.
    Shut,
}

/// Taken by the consumer, but not done: all that it took since it was done last.
#[derive(Debug, Default)]
struct Hand {
    records: u64,
    bytes: u64,
    /// How many records had left the queue before the first of these.
    after: u64,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    phase: Phase,
    gate: Gate,
    /// Ever.
    accepted: u64,
    accepted_bytes: u64,
    hand: Hand,
    /// So many records or bytes wake the consumer; [`AWAKE`] in both if it does not sleep.
    wake_records: usize,
    wake_bytes: usize,
    /// The consumer found nothing last time: the next record is the first after a quiet time.
    is_quiet: bool,
    /// Since the consumer took something last, somebody found no room.
    is_cramped: bool,
    /// Threads that wait for room.
    blocked: usize,
    /// Threads that wait for what they have pushed.
    flushing: usize,
}

impl State {
    const fn is_consumer_asleep(&self) -> bool {
        self.wake_records != AWAKE
    }

    /// The consumer sleeps, and what it sleeps for is there.
    fn is_consumer_due(&self) -> bool {
        self.ring.records() >= self.wake_records || self.ring.bytes() >= self.wake_bytes
    }

    const fn rouse(&mut self) {
        self.wake_records = AWAKE;
        self.wake_bytes = AWAKE;
    }

    /// Somebody waits for what the consumer does, or loses records until it does.
    fn is_consumer_wanted(&self) -> bool {
        self.is_cramped || self.gate == Gate::Shut || self.flushing > 0
    }

    /// Records that were accepted and are not in the ring any more.
    fn left(&self) -> u64 {
        self.accepted - self.ring.records() as u64
    }

    /// Of the records accepted first, so many are done or dropped.
    fn settled(&self) -> u64 {
        if self.hand.records > 0 { self.hand.after } else { self.left() }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Only if the newest are dropped: records of this length and longer do not fit now. It
    /// is written with the state locked, and read without: a full queue costs no lock.
    refused_from: AtomicUsize,
    when_full: WhenFull,
    records_max: usize,
    bytes_max: usize,
    /// The consumer sleeps here.
    arrived: Condvar,
    /// Those that wait for room.
    room: Condvar,
    /// Those that flush.
    settled: Condvar,
}

impl Queue {
    /// A queue for at most `records` records (at least one) that are at most `bytes` bytes
    /// together.
    ///
    /// All memory is allocated here, and none later: `bytes`, 4 bytes for each of `records`,
    /// and four segments of the 32nd part of `bytes` (of 64 KiB at most). What is never filled
    /// is never touched, so it costs addresses only.
    ///
    /// # Errors
    ///
    /// That much memory cannot be had.
    pub(super) fn new(
        records: usize,
        bytes: usize,
        when_full: WhenFull,
    ) -> Result<Self, TryReserveError> {
        let bytes_max = bytes;
        let records_max = records.max(1);
        let state = State {
            ring: Ring::new(records_max, bytes_max)?,
            phase: Phase::Open,
            gate: Gate::Open,
            accepted: 0,
            accepted_bytes: 0,
            hand: Hand::default(),
            wake_records: AWAKE,
            wake_bytes: AWAKE,
            is_quiet: true,
            is_cramped: false,
            blocked: 0,
            flushing: 0,
        };
        Ok(Self {
            state: Mutex::new(state),
            refused_from: AtomicUsize::new(NONE_REFUSED),
            when_full,
            records_max,
            bytes_max,
            arrived: Condvar::new(),
            room: Condvar::new(),
            settled: Condvar::new(),
        })
    }

    /// Hands over a copy of one record. If the queue is full, what happens is what
    /// [`WhenFull`] says; only [`WhenFull::Block`] and [`WhenFull::BlockFor`] ever wait.
    pub(super) fn push(&self, record: &[u8]) -> Pushed {
        // Lengths are kept in 32 bits.
        if record.len() > self.bytes_max || u32::try_from(record.len()).is_err() {
            return Pushed::TooLarge;
        }
        // What another thread freed at this very moment may be missed, as if it came later.
        if record.len() >= self.refused_from.load(Ordering::Relaxed) {
            return Pushed::Full;
        }
        let mut state = sync::lock(&self.state);
        let mut pushed = Pushed::Accepted;
        if state.phase != Phase::Open {
            return Pushed::Closed;
        }
        if state.gate == Gate::Shut || !state.ring.fits(record.len()) {
            (state, pushed) = self.make_room(state, record.len());
            if !matches!(pushed, Pushed::Accepted | Pushed::AcceptedAfterDropping { .. }) {
                return pushed;
            }
        }
        state.ring.push(record);
        state.accepted += 1;
        state.accepted_bytes += record.len() as u64;
        if state.is_consumer_due() {
            state.rouse();
            drop(state);
            self.arrived.notify_one();
        }
        pushed
    }

    /// Takes the oldest records: appends them to `out` and their lengths to `lengths`. At most
    /// `most` bytes, but at least one record, however long. Waits up to `patience` for the
    /// first, and up to [`GATHER`] for enough to be worth it.
    ///
    /// There is one consumer: one thread that calls this. What it took is waiting until it
    /// says [`done`](Self::done).
    pub(super) fn take(
        &self,
        out: &mut Vec<u8>,
        lengths: &mut Vec<u32>,
        most: usize,
        patience: Duration,
    ) -> Taken {
        let mut state = self.wait_for_records(most, patience);
        state.is_quiet = state.ring.is_empty();
        if state.is_quiet {
            return if state.phase == Phase::Open { Taken::TimedOut } else { Taken::Ended };
        }
        if state.hand.records == 0 {
            state.hand.after = state.left();
        }
        let (mut records, mut bytes) = (0, 0);
        loop {
            let loan = state.ring.lend(most - bytes.min(most), records == 0, lengths, out);
            if loan.records == 0 {
                break;
            }
            records += loan.records;
            bytes += loan.bytes;
            state.hand.records += loan.records as u64;
            state.hand.bytes += loan.bytes as u64;
            state.is_cramped = false;
            self.refused_from.store(NONE_REFUSED, Ordering::Relaxed);
            let opens = state.gate == Gate::Shut && state.ring.is_half_free();
            if opens {
                state.gate = Gate::Open;
            }
            drop(state);
            if opens {
                self.room.notify_all();
            }
            loan.copy_to(out);
            state = sync::lock(&self.state);
            state.ring.give_back(loan);
            if bytes >= most || records >= TAKEN_MAX {
                break;
            }
        }
        Taken::Records { records: records as u64, bytes: bytes as u64 }
    }

    /// What the consumer has taken is where it should be, or is accounted for.
    pub(super) fn done(&self) {
        let mut state = sync::lock(&self.state);
        state.hand = Hand::default();
        if state.flushing > 0 {
            drop(state);
            self.settled.notify_all();
        }
    }

    /// Whether the consumer should write all that it has: there is nothing more to take, or
    /// somebody waits for it.
    pub(super) fn is_dry(&self) -> bool {
        let state = sync::lock(&self.state);
        state.ring.is_empty() || state.flushing > 0
    }

    /// Waits until everything that was accepted before is done or dropped.
    pub(super) fn flush(&self) -> Flushed {
        let mut state = sync::lock(&self.state);
        let target = state.accepted;
        if state.settled() < target {
            state.flushing += 1;
            self.rouse(&mut state);
            state = sync::wait_while(&self.settled, state, |state| state.settled() < target);
            state.flushing -= 1;
        }
        match state.phase {
            Phase::Abandoned => Flushed::Abandoned,
            Phase::Open | Phase::Closed => Flushed::Done,
        }
    }

    /// Accepts nothing any more. The consumer gets what was accepted, and then
    /// [`Taken::Ended`]. Whoever waits for room gets [`Pushed::Closed`].
    pub(super) fn close(&self) {
        let mut state = sync::lock(&self.state);
        if state.phase == Phase::Open {
            self.end(&mut state, Phase::Closed);
        }
    }

    /// For a consumer that cannot go on: closes, and nobody waits for it any more. Says how
    /// many records and bytes were waiting, taken ones that were not done among them; they are
    /// lost, but for what the consumer knows of the latter.
    pub(super) fn abandon(&self) -> (u64, u64) {
        let mut state = sync::lock(&self.state);
        let lost = waiting(&state);
        // With nothing left, all flushes are at their end.
        while state.ring.drop_oldest().is_some() {}
        state.hand = Hand::default();
        self.end(&mut state, Phase::Abandoned);
        lost
    }

    /// Records and bytes that were ever accepted.
    pub(super) fn accepted(&self) -> (u64, u64) {
        let state = sync::lock(&self.state);
        (state.accepted, state.accepted_bytes)
    }

    /// Records and bytes that were accepted and are neither done nor dropped.
    pub(super) fn waiting(&self) -> (u64, u64) {
        waiting(&sync::lock(&self.state))
    }

    fn end(&self, state: &mut State, phase: Phase) {
        state.phase = phase;
        self.refused_from.store(NONE_REFUSED, Ordering::Relaxed);
        self.rouse(state);
        self.room.notify_all();
        self.settled.notify_all();
    }

    /// Wakes the consumer if it sleeps.
    fn rouse(&self, state: &mut State) {
        if state.is_consumer_asleep() {
            state.rouse();
            self.arrived.notify_one();
        }
    }

    /// For a record of `len` bytes that does not fit, or has to wait until others pass.
    #[cold]
    fn make_room<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        len: usize,
    ) -> (MutexGuard<'a, State>, Pushed) {
        state.is_cramped = true;
        self.rouse(&mut state);
        match self.when_full {
            WhenFull::Block => self.wait_for_room(state, len, None),
            WhenFull::BlockFor(limit) => self.wait_for_room(state, len, Some(limit)),
            WhenFull::DropNewest => {
                let from = if state.ring.has_record_free() { len } else { 0 };
                self.refused_from.fetch_min(from, Ordering::Relaxed);
                (state, Pushed::Full)
            }
            WhenFull::DropOldest => {
                let (mut records, mut bytes) = (0, 0);
                while !state.ring.fits(len)
                    && let Some(dropped) = state.ring.drop_oldest()
                {
                    records += 1;
                    bytes += dropped as u64;
                }
                (state, Pushed::AcceptedAfterDropping { records, bytes })
            }
        }
    }

    fn wait_for_room<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        len: usize,
        limit: Option<Duration>,
    ) -> (MutexGuard<'a, State>, Pushed) {
        state.blocked += 1;
        state.gate = Gate::Shut;
        let has_to_wait = |state: &mut State| {
            if state.phase != Phase::Open {
                return false;
            }
            // All that were woken run for the room. Who finds none shuts the gate again.
            if !state.ring.fits(len) {
                state.gate = Gate::Shut;
                self.rouse(state);
            }
            state.gate == Gate::Shut
        };
        state = match limit {
            None => sync::wait_while(&self.room, state, has_to_wait),
            Some(limit) => sync::wait_at_most(&self.room, state, limit, has_to_wait),
        };
        state.blocked -= 1;
        if state.blocked == 0 {
            state.gate = Gate::Open;
        }
        let pushed = if state.phase != Phase::Open {
            Pushed::Closed
        } else if state.ring.fits(len) {
            Pushed::Accepted
        } else {
            Pushed::Full
        };
        (state, pushed)
    }

    fn wait_for_records(&self, most: usize, patience: Duration) -> MutexGuard<'_, State> {
        let mut state = sync::lock(&self.state);
        let mut patience = patience;
        // Sleeping is worth it for less than half of what can be taken, and then until there
        // is a good deal more: else every block would cost a producer a system call.
        let enough = (most / 2).clamp(1, (self.bytes_max / 2).max(1));
        let plenty = enough.max(self.bytes_max / 4);
        let plenty_records = (self.records_max / 2).max(1);
        let gathers = !state.is_quiet
            && state.phase == Phase::Open
            && state.ring.bytes() < enough
            && state.ring.records() < plenty_records
            && (state.ring.is_empty() || !state.is_consumer_wanted());
        if gathers {
            let limit = patience.min(GATHER);
            patience -= limit;
            state = self.sleep(state, plenty_records, plenty, limit);
        }
        if state.ring.is_empty() && state.phase == Phase::Open && !patience.is_zero() {
            state = self.sleep(state, 1, 1, patience);
        }
        state
    }

    /// The consumer sleeps until so much is there, or somebody wakes it.
    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        records: usize,
        bytes: usize,
        limit: Duration,
    ) -> MutexGuard<'a, State> {
        state.wake_records = records;
        state.wake_bytes = bytes;
        state = sync::wait_at_most(&self.arrived, state, limit, |state| state.is_consumer_asleep());
        state.rouse();
        state
    }
}

fn waiting(state: &State) -> (u64, u64) {
    let records = state.ring.records() as u64 + state.hand.records;
    (records, state.ring.bytes() as u64 + state.hand.bytes)
}
