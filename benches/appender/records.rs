//! Records that look like an application's, the same ones from the same seed.
//!
//! Traces are stack traces as Java, Python and Rust print them, 1 to 3 KiB and 2.1 KiB at
//! the mean, with all their lines in one record. Lines are 80 to 160 bytes, 120 at the mean.
//! Every record ends with a newline; how one begins, see [`STARTS`].

use std::fmt::Write as _;

/// Enough that records differ, small enough to stay in a core's cache: a record that is
/// logged was formatted a moment ago.
const POOL: usize = 1 << 20;

/// How records begin, and no other line of them: with a time stamp, but for panics of Rust, which
/// nobody stamps.
pub(crate) const STARTS: [&[u8]; 2] = [b"2026-", b"thread '"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Lines,
    Traces,
}

impl Class {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Class::Lines => "lines",
            Class::Traces => "traces",
        }
    }
}

/// Records, made before anything is measured.
pub(crate) struct Records {
    text: String,
    ends: Vec<usize>,
}

impl Records {
    pub(crate) fn new(class: Class) -> Self {
        let mut random = Random(0x10e9_0a7a_5eed_0003);
        let mut records = Records { text: String::with_capacity(POOL + 4096), ends: Vec::new() };
        let mut number = 0;
        while records.text.len() < POOL {
            number += 1;
            match class {
                Class::Lines => line(&mut records.text, &mut random, number),
                Class::Traces => trace(&mut records.text, &mut random, number),
            }
            records.ends.push(records.text.len());
        }
        records
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..self.ends[index]]
    }

    pub(crate) fn mean(&self) -> f64 {
        self.text.len() as f64 / self.len() as f64
    }

    /// All of them, one behind the other.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Records without end, from a place of the caller's own.
    pub(crate) fn from(&self, start: usize) -> impl Iterator<Item = &str> {
        let mut at = start % self.len();
        std::iter::repeat_with(move || {
            let record = self.get(at);
            at += 1;
            if at == self.len() {
                at = 0;
            }
            record
        })
    }
}

/// xorshift64*: repeatable, and nothing to depend on.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

const MODULES: [&str; 8] =
    ["player", "net.http", "decoder", "playlist", "cache", "render", "audio.mixer", "scheduler"];
const VERBS: [&str; 8] = [
    "request finished",
    "segment downloaded",
    "frame dropped",
    "retrying after a timeout",
    "buffer refilled",
    "item scheduled",
    "connection reset by peer",
    "cache entry replaced",
];
const KEYS: [&str; 8] =
    ["request_id", "took_ms", "bytes", "url", "attempt", "queue", "client", "status"];
const CLASSES: [&str; 10] = [
    "PlaylistLoader",
    "SegmentFetcher",
    "HttpTransport",
    "DecoderPipeline",
    "FrameQueue",
    "RenderLoop",
    "ContentCache",
    "ScheduleService",
    "RetryPolicy",
    "EventDispatcher",
];
const METHODS: [&str; 10] = [
    "load",
    "fetchNext",
    "openConnection",
    "decode",
    "poll",
    "renderFrame",
    "lookup",
    "invokeAll",
    "execute",
    "dispatchPending",
];
const ERRORS: [&str; 6] = [
    "IllegalStateException",
    "TimeoutException",
    "IOException",
    "NullPointerException",
    "IndexOutOfBoundsException",
    "UncheckedIOException",
];

fn stamp(text: &mut String, random: &mut Random, number: usize) {
    let (minute, second) = (number / 60 % 60, number % 60);
    let micros = random.below(1_000_000);
    let _ = write!(text, "2026-11-21T18:{minute:02}:{second:02}.{micros:06}Z ");
}

fn line(text: &mut String, random: &mut Random, number: usize) {
    let len = 79 + random.below(81);
    let start = text.len();
    stamp(text, random, number);
    let level = random.of(&["INFO", "WARN", "DEBUG", "ERROR"]);
    let _ = write!(text, "{level} {}: {}", random.of(&MODULES), random.of(&VERBS));
    while text.len() < start + len {
        let _ = write!(text, " {}={:x}", random.of(&KEYS), random.next() & 0xff_ffff);
    }
    text.truncate(start + len);
    text.push('\n');
}

fn trace(text: &mut String, random: &mut Random, number: usize) {
    let end = text.len() + 1070 + random.below(1950);
    match number % 3 {
        0 => java(text, random, number, end),
        1 => python(text, random, number, end),
        _ => rust(text, random, end),
    }
    text.push('\n');
}

fn java(text: &mut String, random: &mut Random, number: usize, end: usize) {
    stamp(text, random, number);
    let thread = random.below(16);
    let error = random.of(&ERRORS);
    let _ = write!(
        text,
        "ERROR [pool-2-thread-{thread}] player - cannot load playlist {:08x}\n\
         java.lang.{error}: no segment {} in playlist",
        random.next() & 0xffff_ffff,
        random.below(9000),
    );
    while text.len() < end {
        if random.below(14) == 0 {
            let error = random.of(&ERRORS);
            let _ = write!(text, "\nCaused by: java.io.{error}: attempt {}", random.below(9));
        }
        let class = random.of(&CLASSES);
        let _ = write!(
            text,
            "\n\tat com.example.player.{}.{class}.{}({class}.java:{})",
            random.of(&["net", "core", "media", "util.concurrent"]),
            random.of(&METHODS),
            random.below(900),
        );
    }
}

fn python(text: &mut String, random: &mut Random, number: usize, end: usize) {
    stamp(text, random, number);
    let _ = write!(
        text,
        "ERROR worker[{}]: job {:08x} failed\nTraceback (most recent call last):",
        random.below(64),
        random.next() & 0xffff_ffff,
    );
    while text.len() < end {
        let method = random.of(&METHODS);
        let _ = write!(
            text,
            "\n  File \"/opt/player/lib/python3.11/site-packages/player/{}.py\", line {}, in {method}\
             \n    return self.{}({}, timeout={})",
            random.of(&MODULES).replace('.', "/"),
            random.below(1500),
            random.of(&METHODS),
            random.of(&KEYS),
            random.below(60),
        );
    }
    let _ = write!(text, "\nValueError: no segment {} in playlist", random.below(9000));
}

fn rust(text: &mut String, random: &mut Random, end: usize) {
    let _ = write!(
        text,
        "thread 'worker-{}' panicked at src/{}.rs:{}:{}:\
         \nindex out of bounds: the len is {} but the index is {}\nstack backtrace:",
        random.below(16),
        random.of(&MODULES),
        random.below(900),
        random.below(80),
        random.below(100),
        100 + random.below(100),
    );
    let mut frame = 0;
    while text.len() < end {
        let class = random.of(&CLASSES);
        let _ = write!(
            text,
            "\n{frame:4}: player::{}::{class}::{}::{{{{closure}}}}::h{:016x}\
             \n             at /build/player/src/{}.rs:{}:{}",
            random.of(&["net", "core", "media", "sync"]),
            random.of(&METHODS),
            random.next(),
            random.of(&MODULES),
            random.below(900),
            random.below(80),
        );
        frame += 1;
    }
}
