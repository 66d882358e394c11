//! logquota's appender under measurement, within a quota like in real use.

use logquota::appender::Fate;
use logquota::policy::Codec;
use logquota::{Appender, Bytes, Delivery, WhenFull};

use crate::subject::{BUFFER, FLUSH, Kept, Said, Setup, Sink};

/// What a queue may hold.
const QUEUE_RECORDS: usize = 8192;
const QUEUE_BYTES: u64 = 1 << 20;

pub(crate) fn open(name: &str, setup: &Setup) -> Option<Box<dyn Sink>> {
    let queued = |when_full| Delivery::Queued {
        records: QUEUE_RECORDS,
        bytes: Bytes::new(QUEUE_BYTES),
        when_full,
    };
    let delivery = match name {
        "logquota written" => Delivery::Written,
        "logquota buffered" => {
            Delivery::Buffered { bytes: Bytes::new(BUFFER as u64), interval: FLUSH }
        }
        "logquota queued" => queued(WhenFull::Block),
        "logquota queued drop" => queued(WhenFull::DropNewest),
        _ => return None,
    };
    let queue_bytes = if matches!(delivery, Delivery::Queued { .. }) {
        QUEUE_BYTES + 4 * QUEUE_RECORDS as u64
    } else {
        0
    };
    // The log and its archives; where nothing is compressed, and the next segment.
    let files = setup.keep + if setup.is_compressed { 1 } else { 2 };
    let mut builder = Appender::builder(setup.dir.join("a.log"))
        .rotate_at(Bytes::new(setup.segment))
        .keep_count(setup.keep)
        .quota(Bytes::new(setup.segment * u64::from(files)))
        .delivery(delivery);
    if setup.is_compressed {
        builder = builder.compress(Codec::Zstd);
    }
    Some(Box::new(Ours { log: builder.open().expect("an appender"), queue_bytes }))
}

struct Ours {
    log: Appender,
    queue_bytes: u64,
}

impl Sink for Ours {
    fn put(&self, record: &str) {
        let fate = self.log.write_record(record.as_bytes()).expect("a place for the record");
        // Drops are in the account at the end.
        let (Fate::Accepted | Fate::Dropped(_)) = fate;
    }

    fn finish(self: Box<Self>) -> Said {
        let stats = self.log.close().expect("a close");
        let dropped = stats.dropped.total();
        let known = stats.written + stats.waiting + dropped;
        assert_eq!((stats.received, stats.waiting), (known, 0), "{stats:?}");
        Said {
            dropped: Some(dropped),
            kept: Kept::Bytes(stats.written_bytes),
            queue_bytes: self.queue_bytes,
        }
    }
}
