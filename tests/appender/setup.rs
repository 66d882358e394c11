//! Every policy that a builder can be given, on every kind of disk. A setup is made of
//! bytes, each of which picks from a list whose first entry is the plainest, so that failing
//! ones shrink to plain ones.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use logquota::appender::{Builder, Event};
use logquota::fs::sim::{SimDisk, SimFs};
use logquota::{Age, Appender, Bytes, Codec, Delivery, Interval, OnFull};
use logquota_tests::clock::TwoHands;

/// The log.
pub(crate) const LOG: &str = "/log/app.log";

/// What the disk is like at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Usual,
    /// There is no directory.
    NoFolder,
    /// There is no free block.
    Full,
}

/// One policy on one disk.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) disk: SimDisk,
    pub(crate) start: Start,
    pub(crate) segment: u64,
    pub(crate) quota: Option<u64>,
    pub(crate) keep_count: Option<u32>,
    pub(crate) keep_days: Option<u64>,
    pub(crate) compress: Option<Codec>,
    pub(crate) on_full: OnFull,
    pub(crate) delivery: Delivery,
    pub(crate) every: Option<Interval>,
    pub(crate) reserve: Option<u64>,
    pub(crate) max_files: Option<u64>,
    pub(crate) degraded: bool,
    pub(crate) latest: bool,
}

pub(crate) fn pick<T: Clone>(byte: u8, options: &[T]) -> T {
    options[usize::from(byte) % options.len()].clone()
}

/// Whose records are in a buffer when their calls return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Written,
    Buffered,
}

impl Setup {
    /// The setup that these bytes stand for.
    pub(crate) fn of(raw: &[u8; 16], kind: Kind) -> Self {
        let segment = pick(raw[0], &[8192, 4096, 2048, 20_000, 5000, 16_384]);
        let block = pick(raw[1], &[512, 512, 1024, 4096]);
        let tenths = pick(raw[2], &[0, 80, 40, 25, 20, 12, 30, 53]);
        let buffer = pick(raw[3], &[4096, 4096, 8192, 16_384]);
        let capacity = pick(raw[4], &[4096, 4096, 128, 64, 40]);
        let second = NonZeroU32::MIN;
        let hours = NonZeroU32::new(90).unwrap_or(second);
        Self {
            disk: SimDisk {
                capacity: Bytes::kib(capacity),
                inodes: pick(raw[5], &[10_000, 10_000, 10_000, 12, 6, 5]),
                block: Bytes::new(block),
                copy_on_write: raw[6] % 4 == 3,
                ..SimDisk::default()
            },
            start: pick(raw[7], &[Start::Usual, Start::Usual, Start::NoFolder, Start::Full]),
            segment,
            quota: (tenths > 0).then_some(segment * tenths / 10),
            keep_count: pick(raw[8], &[None, None, None, Some(3), Some(1), Some(0)]),
            keep_days: pick(raw[9], &[None, None, Some(3), Some(1)]),
            compress: pick(raw[10], &[None, Some(Codec::Zstd), Some(Codec::Gzip), None]),
            on_full: pick(raw[11], &[OnFull::EvictOldest, OnFull::DropNewest, OnFull::Refuse]),
            delivery: match kind {
                Kind::Written => Delivery::Written,
                Kind::Buffered => Delivery::Buffered {
                    bytes: Bytes::new(buffer),
                    interval: Duration::from_secs(1),
                },
            },
            every: pick(
                raw[12],
                &[
                    None,
                    None,
                    None,
                    Some(Interval::Day),
                    Some(Interval::Hour),
                    Some(Interval::Minutes(hours)),
                    Some(Interval::Week),
                    Some(Interval::Month),
                    Some(Interval::Year),
                ],
            ),
            reserve: pick(raw[13], &[None, None, None, Some(16_384), Some(100_000)]),
            max_files: pick(raw[14], &[None, None, None, Some(4), Some(2), Some(1)]),
            degraded: raw[15] % 2 == 1,
            latest: raw[15] % 3 == 2,
        }
    }

    /// The builder for one more appender of this policy.
    pub(crate) fn builder(
        &self,
        fs: &Arc<SimFs>,
        clock: &Arc<TwoHands>,
        events: &Arc<Mutex<Vec<Event>>>,
    ) -> Builder {
        let events = Arc::clone(events);
        let mut builder = Appender::builder(LOG)
            .fs(Arc::clone(fs) as _)
            .clock(Arc::clone(clock) as _)
            .background(false)
            .rotate_at(Bytes::new(self.segment))
            .on_full(self.on_full)
            .delivery(self.delivery)
            .start_degraded(self.degraded)
            .on_event(move |event| events.lock().expect("no panic").push(event.clone()));
        if let Some(quota) = self.quota {
            builder = builder.quota(Bytes::new(quota));
        }
        if let Some(count) = self.keep_count {
            builder = builder.keep_count(count);
        }
        if let Some(days) = self.keep_days {
            builder = builder.keep_for(Age::days(days));
        }
        if let Some(codec) = self.compress {
            builder = builder.compress(codec);
        }
        if let Some(every) = self.every {
            builder = builder.rotate_every(every);
        }
        if let Some(reserve) = self.reserve {
            builder = builder.reserve(Bytes::new(reserve));
        }
        if let Some(count) = self.max_files {
            builder = builder.max_files(count);
        }
        if self.latest {
            builder = builder.latest_link("latest");
        }
        builder
    }

    /// Blocks of a file of this length, with those that tell where they are.
    pub(crate) fn claim(&self, len: u64) -> u64 {
        let block = self.disk.block.get();
        let blocks = len.div_ceil(block);
        (blocks + blocks / 256 + 2) * block
    }

    /// Whether history may only go because a limit other than the quota says so.
    pub(crate) fn keeps_history(&self) -> bool {
        self.on_full != OnFull::EvictOldest
            && self.keep_count.is_none()
            && self.keep_days.is_none()
            && self.max_files.is_none()
            && self.reserve.is_none()
    }

    /// Whether every record of this length gets in on a disk with room.
    pub(crate) fn always_takes(&self, len: u64) -> bool {
        self.on_full == OnFull::EvictOldest
            && self.disk.capacity >= Bytes::mib(1)
            && self.disk.inodes > 100
            // The directory is counted twice, as it may grow.
            && self.quota.is_none_or(|quota| {
                self.claim(len.max(self.segment)) + 2 * self.disk.block.get() <= quota
            })
    }
}
