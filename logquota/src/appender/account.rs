//! The account: what came in, and where it is.

use super::core::{Core, Front};
use super::env::lock;
use super::event::{Cause, Stats};
use crate::units::Bytes;

impl Core {
    pub(super) fn stats(&self) -> Stats {
        let mut waiting = 0;
        let mut received = None;
        let mut lost = (0, 0);
        let mut cause = None;
        match &self.front {
            Front::Written(_) => {}
            Front::Buffered(block) => {
                let block = lock(block);
                waiting = block.waiting();
                received = Some((block.received, block.received_bytes));
            }
            Front::Queued(queued) => {
                waiting = queued.queue.waiting().0;
                lost = queued.lost();
                cause = Some(queued.cause());
                let (records, bytes) = queued.queue.accepted();
                received = Some(match queued.cause() {
                    // They had been accepted.
                    Cause::Oldest => (records, bytes),
                    _ => (records.saturating_add(lost.0), bytes.saturating_add(lost.1)),
                });
            }
        }
        let (mut counts, lost_head) = {
            let log = lock(&self.log);
            (log.counts, log.lost_head)
        };
        // Its end waits in vain: it was counted as lost with its beginning.
        waiting = u64::saturating_sub(waiting, u64::from(lost_head));
        if let Some(cause) = cause {
            counts.dropped.add(cause, lost.0);
            counts.dropped_bytes = counts.dropped_bytes.saturating_add(lost.1);
        }
        let (received, received_bytes) =
            received.unwrap_or((counts.received, counts.received_bytes));
        let books = lock(&self.env.books);
        Stats {
            received,
            received_bytes,
            written: counts.written,
            written_bytes: counts.written_bytes,
            waiting,
            dropped: counts.dropped,
            dropped_bytes: counts.dropped_bytes,
            evicted_records: books.evicted_records,
            evicted_files: books.evicted_files,
            rotations: counts.rotations,
            compressions: books.compressions,
            reopened: counts.reopened,
            used: Bytes::new(books.used()),
            peak: Bytes::new(books.peak),
        }
    }
}
