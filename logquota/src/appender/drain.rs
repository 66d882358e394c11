//! From the queue to the log: the thread that writes for everybody else.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::builder::WhenFull;
use super::core::Core;
use super::env::{Env, lock};
use super::event::{Cause, Event, Fate};
use super::log::{Log, Loss, as_u64};
use super::pieces;
use super::queue::{Pushed, Queue, Taken};
use super::records::Measured;
use crate::error::{Error, Result};

/// Blocks are aligned to this in the file.
const BLOCK: usize = 64 << 10;

/// So much is taken out of the queue at a time: the rest of a block and another one.
const TAKE: usize = 2 * BLOCK;

/// How long the writer waits for a record before it looks around.
const PATIENCE: Duration = Duration::from_secs(1);

/// A queue in front of a log, and what was lost there.
pub(super) struct Queued {
    pub(super) queue: Queue,
    cause: Cause,
    lost: AtomicU64,
    lost_bytes: AtomicU64,
    /// Of these, what the log was told.
    told: AtomicU64,
    told_bytes: AtomicU64,
    since: Mutex<Option<DateTime<Utc>>>,
    is_losing: AtomicBool,
}

impl Queued {
    pub(super) fn new(records: usize, bytes: u64, when_full: WhenFull) -> Result<Self> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let queue = Queue::new(records, bytes, when_full).map_err(|_| {
            Error::Policy(format!("a queue of {bytes} bytes needs more memory than there is"))
        })?;
        let cause =
            if when_full == WhenFull::DropOldest { Cause::Oldest } else { Cause::QueueFull };
        Ok(Self {
            queue,
            cause,
            lost: AtomicU64::new(0),
            lost_bytes: AtomicU64::new(0),
            told: AtomicU64::new(0),
            told_bytes: AtomicU64::new(0),
            since: Mutex::new(None),
            is_losing: AtomicBool::new(false),
        })
    }

    pub(super) fn push(&self, env: &Env, record: &[u8]) -> Result<Fate> {
        match self.queue.push(record) {
            Pushed::Accepted => Ok(Fate::Accepted),
            Pushed::AcceptedAfterDropping { records, bytes } => {
                self.lose(env, records, bytes);
                Ok(Fate::Accepted)
            }
            Pushed::Full => {
                self.lose(env, 1, as_u64(record.len()));
                Ok(Fate::Dropped(Cause::QueueFull))
            }
            Pushed::TooLarge => {
                Err(Error::Lost { path: env.path.clone(), cause: Cause::TooLarge, source: None })
            }
            Pushed::Closed => Err(Error::Closed { path: env.path.clone() }),
        }
    }

    fn lose(&self, env: &Env, records: u64, bytes: u64) {
        self.lost_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.lost.fetch_add(records, Ordering::Relaxed);
        if !self.is_losing.load(Ordering::Relaxed) && !self.is_losing.swap(true, Ordering::AcqRel) {
            *lock(&self.since) = Some(env.clock.now().with_timezone(&Utc));
            env.tell(Event::LossBegan { cause: self.cause, why: self.cause.to_string() });
        }
    }

    pub(super) const fn cause(&self) -> Cause {
        self.cause
    }

    /// Records and bytes that were lost in the queue.
    pub(super) fn lost(&self) -> (u64, u64) {
        (self.lost.load(Ordering::Relaxed), self.lost_bytes.load(Ordering::Relaxed))
    }

    /// What the log was not told yet.
    fn untold(&self) -> Option<Loss> {
        if !self.is_losing.swap(false, Ordering::AcqRel) {
            return None;
        }
        let (lost, lost_bytes) = self.lost();
        let records = lost.saturating_sub(self.told.swap(lost, Ordering::Relaxed));
        let bytes = lost_bytes.saturating_sub(self.told_bytes.swap(lost_bytes, Ordering::Relaxed));
        let since = lock(&self.since).take()?;
        (records > 0).then_some(Loss { records, bytes, since, cause: self.cause })
    }
}

/// What was taken out of the queue and is not written yet.
#[derive(Default)]
struct Hand {
    bytes: Vec<u8>,
    lens: Vec<u32>,
    /// Bytes at the beginning that end a record whose head is written already.
    carry: usize,
}

/// Gives the queue up if the writer dies: nobody waits for it any more.
struct Abandon<'q>(&'q Queue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// The writer's life.
pub(super) fn drain(core: &Core, queued: &Queued) {
    let _abandon = Abandon(&queued.queue);
    let mut hand = Hand::default();
    // Room for what is taken, behind what is left of the block before.
    hand.bytes.reserve_exact(TAKE.saturating_add(BLOCK));
    let mut is_announced = false;
    loop {
        let taken = queued.queue.take(&mut hand.bytes, &mut hand.lens, TAKE, PATIENCE);
        let is_dry = queued.queue.is_dry();
        // While the queue is full, one line in a while is enough.
        let may_announce = is_dry || !is_announced;
        is_announced =
            core.write_taken(queued, &mut hand, is_dry, may_announce) || (is_announced && !is_dry);
        if hand.bytes.is_empty() {
            queued.queue.done();
        }
        match taken {
            Taken::Records { .. } => {}
            Taken::TimedOut => is_announced = false,
            Taken::Ended => break,
        }
        core.after();
    }
}

impl Core {
    /// Writes what is in hand: in whole blocks of the file, and the rest only if the queue
    /// has run dry. Says whether a loss was announced.
    fn write_taken(
        &self,
        queued: &Queued,
        hand: &mut Hand,
        is_dry: bool,
        may_announce: bool,
    ) -> bool {
        let env = &self.env;
        let mut log = lock(&self.log);
        let mut at = 0usize;
        let mut first = 0usize;
        let mut announced = false;
        while at < hand.bytes.len() {
            let rest = hand.bytes.get(at..).unwrap_or_default();
            let lens = hand.lens.get(first..).unwrap_or_default();
            let Some(until) = plain_room(&log, rest.len()) else {
                // One record after the other, wherever it may go. First the end of one that has
                // its head in this segment.
                let carry = std::mem::take(&mut hand.carry);
                let (tail, whole) = rest.split_at_checked(carry).unwrap_or((rest, &[]));
                let lens = if carry > 0 {
                    let whole = &Lens { lens, carry };
                    let block = pieces::Block { bytes: tail, ends: 1, carry, head: 0, whole };
                    let _ = log.put_block(env, &block);
                    lens.get(1..).unwrap_or_default()
                } else {
                    lens
                };
                if !whole.is_empty() {
                    let _ = log.put(env, &Measured { bytes: whole, lens });
                }
                (at, first) = (hand.bytes.len(), hand.lens.len());
                break;
            };
            if rest.len() < until && !is_dry {
                break;
            }
            let piece = rest.get(..until).unwrap_or(rest);
            let (ends, head, left) = cut(lens, hand.carry, piece.len());
            let (carry, head) = (hand.carry, as_u64(head));
            let whole = &Lens { lens, carry };
            let block = pieces::Block { bytes: piece, ends, carry, head, whole };
            let _ = log.put_block(env, &block);
            hand.carry = left;
            at = at.saturating_add(piece.len());
            first = first.saturating_add(usize::try_from(ends).unwrap_or(usize::MAX));
        }
        hand.bytes.drain(..at.min(hand.bytes.len()));
        hand.lens.drain(..first.min(hand.lens.len()));
        if may_announce
            && hand.carry == 0
            // Where nothing can be written that is one condition, not one each time.
            && log.loss.is_none()
            && let Some(loss) = queued.untold()
        {
            announced = true;
            log.tell_loss(env, loss);
        }
        announced
    }
}

/// How many bytes there are up to the end of the file's block, if so many more bytes can
/// simply be appended.
fn plain_room(log: &Log, more: usize) -> Option<usize> {
    let segment = log.segment.as_ref()?;
    let is_plain = !segment.is_shared
        && !segment.is_ragged
        && log.loss.is_none()
        && segment.len.saturating_add(as_u64(more)) <= segment.limit;
    let over = usize::try_from(segment.len % as_u64(BLOCK)).unwrap_or(0);
    is_plain.then_some(BLOCK.saturating_sub(over))
}

/// Lengths of records, the first without what `carry` leaves of it.
struct Lens<'a> {
    lens: &'a [u32],
    carry: usize,
}

impl pieces::Whole for Lens<'_> {
    fn before(&self, at: usize) -> (u64, usize) {
        let (ends, head, _) = cut(self.lens, self.carry, at);
        (ends, at.saturating_sub(head))
    }
}

/// Of records of these lengths, the first without what `carry` leaves of it: how many end in
/// the first `len` bytes, how many of those bytes belong to one that does not, and how many of
/// its bytes come behind.
fn cut(lens: &[u32], carry: usize, len: usize) -> (u64, usize, usize) {
    let mut end = 0usize;
    let mut ends = 0u64;
    for (index, record) in lens.iter().enumerate() {
        let record = usize::try_from(*record).unwrap_or(usize::MAX);
        let here = if index == 0 && carry > 0 { carry } else { record };
        let next = end.saturating_add(here);
        if next > len {
            let head = len.saturating_sub(end);
            return (ends, head, if head > 0 { next.saturating_sub(len) } else { 0 });
        }
        end = next;
        ends = ends.saturating_add(1);
    }
    (ends, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_where_the_file_wants_it() {
        assert_eq!(cut(&[10, 20, 30], 0, 60), (3, 0, 0));
        assert_eq!(cut(&[10, 20, 30], 0, 30), (2, 0, 0));
        assert_eq!(cut(&[10, 20, 30], 0, 35), (2, 5, 25));
        // The rest of the record that was cut, and the next one cut again.
        assert_eq!(cut(&[30, 40], 25, 30), (1, 5, 35));
        assert_eq!(cut(&[30], 25, 10), (0, 10, 15));
    }
}
