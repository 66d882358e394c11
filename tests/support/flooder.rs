//! A program that floods a log through the library, as it is told on its standard input.
//!
//! `logquota-flooder LOG [KEY=VALUE ...]`, and then a line for each thing to do: `go N` (each
//! thread writes so many records), `sync`, `flush`, `rotate`, `reopen`, `maintain`, `stats`,
//! `close`. Each is answered by a line of JSON: counts, losses, events, memory. At the end of
//! the input it closes the log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, Write as _};
use std::num::NonZeroU32;
use std::os::unix::fs::FileExt as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use logquota::appender::{Event, Fate};
use logquota::{Age, Appender, Bytes, Codec, Delivery, Error, Interval, OnFull, WhenFull};
use logquota_tests::flood::{Id, record};
use serde_json::{Value, json};

/// Who floods, with what.
struct Flood {
    process: u32,
    threads: u32,
    len: usize,
    /// Pause after each record.
    pause: Duration,
    /// Where each thread notes how many of its records were taken.
    acknowledged: Option<File>,
}

/// What one thread has done.
#[derive(Clone, Default)]
struct Done {
    next: u64,
    accepted: u64,
    /// Ranges of numbers that were refused or dropped: from, and up to but not including.
    lost: Vec<(u64, u64)>,
    /// Errors that are no loss.
    errors: u64,
    longest: Duration,
}

impl Done {
    fn lose(&mut self, number: u64) {
        match self.lost.last_mut() {
            Some((_, end)) if *end == number => *end += 1,
            _ => self.lost.push((number, number + 1)),
        }
    }
}

#[derive(Default)]
struct Heard {
    counts: BTreeMap<String, u64>,
    said: Vec<String>,
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(path) = args.next() else { return ExitCode::from(2) };
    let mut flood =
        Flood { process: 0, threads: 1, len: 2048, pause: Duration::ZERO, acknowledged: None };
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut builder = Appender::builder(path);
    for arg in args {
        let (key, value) = arg.split_once('=').expect("KEY=VALUE");
        let number = || value.parse::<u64>().unwrap_or_else(|_| panic!("a number: {arg}"));
        let small = || u32::try_from(number()).expect("a small number");
        builder = match key {
            "quota" => builder.quota(Bytes::new(number())),
            "segment" => builder.rotate_at(Bytes::new(number())),
            "reserve" => builder.reserve(Bytes::new(number())),
            "count" => builder.keep_count(small()),
            "files" => builder.max_files(number()),
            "days" => builder.keep_for(Age::days(number())),
            "minutes" => {
                let minutes = NonZeroU32::new(small()).expect("some minutes");
                builder.rotate_every(Interval::Minutes(minutes))
            }
            "codec" => builder.compress(if value == "gzip" { Codec::Gzip } else { Codec::Zstd }),
            "full" => builder.on_full(match value {
                "drop" => OnFull::DropNewest,
                "refuse" => OnFull::Refuse,
                _ => OnFull::EvictOldest,
            }),
            "delivery" => builder.delivery(delivery(value)),
            "degraded" => builder.start_degraded(value == "yes"),
            "background" => builder.background(value == "yes"),
            "id" => {
                flood.process = small();
                builder
            }
            "threads" => {
                flood.threads = small();
                builder
            }
            "len" => {
                flood.len = usize::try_from(number()).expect("a length");
                builder
            }
            "pause_us" => {
                flood.pause = Duration::from_micros(number());
                builder
            }
            "acknowledge" => {
                let file = File::options().write(true).create(true).truncate(false).open(value);
                flood.acknowledged = Some(file.expect("a file for acknowledgements"));
                builder
            }
            _ => panic!("what is {arg}?"),
        };
    }
    let listener = Arc::clone(&heard);
    let builder = builder.on_event(move |event| {
        let mut heard = listener.lock().expect("no panic");
        let text = format!("{event:?}");
        let name: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
        *heard.counts.entry(name).or_default() += 1;
        let is_routine = matches!(
            event,
            Event::Rotated { .. } | Event::Evicted { .. } | Event::Compressed { .. }
        );
        if !is_routine && heard.said.len() < 40 {
            heard.said.push(text);
        }
    });
    flood.warm_up();
    let idle = peak_memory();
    let log = match builder.open() {
        Ok(log) => log,
        Err(error) => {
            say(&json!({ "refused": error.chain() }));
            return ExitCode::from(3);
        }
    };
    let mut done = vec![Done::default(); usize::try_from(flood.threads).unwrap_or(1)];
    say(&told(&log, &done, &heard, idle, None));
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let (what, count) = line.split_once(' ').unwrap_or((&line, "0"));
        let failed = match what {
            "go" => {
                flood.go(&log, &mut done, count.parse().expect("a number"));
                None
            }
            "sync" => log.sync().err(),
            "flush" => log.flush().err(),
            "rotate" => log.rotate().err(),
            "reopen" => log.reopen().err(),
            "maintain" => {
                log.maintain();
                None
            }
            "stats" => None,
            "close" => break,
            _ => panic!("what is {line}?"),
        };
        say(&told(&log, &done, &heard, idle, failed));
    }
    let failed = log.close().err();
    say(&told(&log, &done, &heard, idle, failed));
    ExitCode::SUCCESS
}

fn delivery(text: &str) -> Delivery {
    let interval = Duration::from_millis(100);
    match text {
        "buffered" => Delivery::Buffered { bytes: Bytes::kib(64), interval },
        "queued" | "queued_drop" => Delivery::Queued {
            records: 8192,
            bytes: Bytes::mib(1),
            when_full: if text == "queued" { WhenFull::Block } else { WhenFull::DropNewest },
        },
        _ => Delivery::Written,
    }
}

impl Flood {
    /// What threads and records take of memory is not the library's.
    fn warm_up(&self) {
        let barrier = std::sync::Barrier::new(usize::try_from(self.threads).unwrap_or(1));
        std::thread::scope(|scope| {
            for thread in 0..self.threads {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut bytes = Vec::with_capacity(self.len + 64);
                    let id = Id { process: self.process, thread, number: 0 };
                    record(id, self.len, &mut bytes);
                    barrier.wait();
                });
            }
        });
    }

    fn go(&self, log: &Appender, done: &mut [Done], count: u64) {
        std::thread::scope(|scope| {
            for (thread, done) in done.iter_mut().enumerate() {
                scope.spawn(move || self.run(log, thread, done, count));
            }
        });
    }

    fn run(&self, log: &Appender, thread: usize, done: &mut Done, count: u64) {
        let mut bytes = Vec::with_capacity(self.len + 64);
        let at = u64::try_from(thread).unwrap_or(0);
        for _ in 0..count {
            let number = done.next;
            done.next += 1;
            let thread = u32::try_from(thread).unwrap_or(0);
            record(Id { process: self.process, thread, number }, self.len, &mut bytes);
            let began = Instant::now();
            let fate = log.write_record(&bytes);
            done.longest = done.longest.max(began.elapsed());
            match fate {
                Ok(Fate::Accepted) => done.accepted += 1,
                Ok(Fate::Dropped(_)) | Err(Error::Lost { .. }) => done.lose(number),
                Err(_) => done.errors += 1,
            }
            if let Some(file) = &self.acknowledged {
                // In the page cache it outlives us.
                let written = file.write_at(&done.accepted.to_le_bytes(), at * 8);
                assert_eq!(written.ok(), Some(8), "acknowledged");
            }
            if !self.pause.is_zero() {
                // What is tested with a pause is what others do meanwhile.
                std::thread::sleep(self.pause);
            }
        }
    }
}

fn told(
    log: &Appender,
    done: &[Done],
    heard: &Mutex<Heard>,
    idle: u64,
    failed: Option<Error>,
) -> Value {
    let s = log.stats();
    let d = s.dropped;
    let heard = heard.lock().expect("no panic");
    let longest = done.iter().map(|done| done.longest).max().unwrap_or_default();
    json!({
        "received": s.received,
        "written": s.written,
        "waiting": s.waiting,
        "dropped": d.total(),
        "by_cause": {
            "quota_full": d.quota_full, "disk_full": d.disk_full, "read_only": d.read_only,
            "io": d.io, "unavailable": d.unavailable, "queue_full": d.queue_full,
            "oldest": d.oldest, "too_large": d.too_large,
        },
        "evicted_records": s.evicted_records,
        "evicted_files": s.evicted_files,
        "rotations": s.rotations,
        "compressions": s.compressions,
        "reopened": s.reopened,
        "used": s.used.get(),
        "peak": s.peak.get(),
        "threads": done.iter().map(|done| json!({
            "next": done.next, "accepted": done.accepted, "errors": done.errors,
            "lost": done.lost,
        })).collect::<Vec<_>>(),
        "events": heard.counts,
        "said": heard.said,
        "failed": failed.map(|error| error.chain()),
        "idle_kib": idle,
        "peak_kib": peak_memory(),
        "longest_us": u64::try_from(longest.as_micros()).unwrap_or(u64::MAX),
    })
}

fn say(value: &Value) {
    let mut out = std::io::stdout().lock();
    // Whoever asked may be gone.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

/// The most memory that this process has had, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
