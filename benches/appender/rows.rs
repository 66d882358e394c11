//! The rows: who does what beside whom, and what logquota should reach.

use crate::records::Class;

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) work: Work,
    pub(crate) class: Class,
    /// A name, and its number of threads.
    pub(crate) subjects: Vec<(&'static str, usize)>,
    pub(crate) columns: &'static [Column],
    pub(crate) claims: Vec<Claim>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// As fast as can be: so many MiB. Segments of 64 MiB, 8 kept.
    Flood { mib: u64 },
    /// As fast as can be, for a while. Segments of 64 MiB, 8 kept.
    Saturated,
    /// 10,000 records a second from each thread. Segments of 16 MiB, 8 kept.
    Paced,
    /// Standard input of a program of its own. Segments of 64 MiB, 8 kept.
    Pipe { mib: u64 },
    /// A flood into segments of 1 MiB, 4 kept, while blocks are counted.
    Footprint { mib: u64 },
}

/// A figure, its unit, and digits behind the point.
pub(crate) type Column = (&'static str, &'static str, usize);

/// Figure `of` of `subject` is at most (or at least) `limit`.
pub(crate) struct Claim {
    pub(crate) subject: (&'static str, usize),
    pub(crate) of: &'static str,
    pub(crate) limit: Limit,
}

pub(crate) enum Limit {
    /// So many times the same figure of the best (the least) of those.
    Times(f64, Vec<(&'static str, usize)>),
    /// So many times the same figure, or more, of the best (the most) of those.
    AtLeast(f64, Vec<(&'static str, usize)>),
    /// A figure by itself.
    Most(f64),
}

const FLOOD: &[Column] =
    &[("CPU", "s/GiB", 2), ("wall", "s/GiB", 2), ("MB/s", "", 0), ("memory", "MiB", 1)];
const QUEUE: &[Column] = &[
    ("CPU", "s/GiB", 2),
    ("wall", "s/GiB", 2),
    ("callers MB/s", "", 0),
    ("kept", "%", 1),
    ("kept MB/s", "", 0),
    ("memory", "MiB", 1),
    ("memory over queue", "MiB", 1),
];
const DROPS: &[Column] = &[
    ("callers MB/s", "", 0),
    ("kept", "%", 1),
    ("kept MB/s", "", 0),
    ("CPU %", "of a core", 0),
    ("memory", "MiB", 1),
];
const CALLS: &[Column] = &[
    ("p50", "us", 2),
    ("p99", "us", 1),
    ("p99.9", "us", 0),
    ("p99.99", "us", 0),
    ("longest", "us", 0),
    ("CPU %", "of a core", 1),
    ("memory", "MiB", 1),
];
const PIPE: &[Column] = &[
    ("CPU", "s/GiB", 2),
    ("CPU with its writer", "s/GiB", 2),
    ("wall", "s/GiB", 2),
    ("memory", "MiB", 1),
    ("files", "", 0),
    ("begin inside a record", "", 0),
];
const FOOTPRINT: &[Column] = &[
    ("peak / nominal", "", 3),
    ("at the end / nominal", "", 3),
    ("CPU", "s/GiB", 2),
    ("samples", "", 0),
];

pub(crate) const BUFFERED: &str = "logquota buffered";
pub(crate) const WRITTEN: &str = "logquota written";
pub(crate) const QUEUED: &str = "logquota queued";
pub(crate) const QUEUED_DROP: &str = "logquota queued drop";
pub(crate) const PIPED: &str = "logquota pipe";

fn most(
    subject: (&'static str, usize),
    of: &'static str,
    times: f64,
    than: &[(&'static str, usize)],
) -> Claim {
    Claim { subject, of, limit: Limit::Times(times, than.to_vec()) }
}

fn value(subject: (&'static str, usize), of: &'static str, most: f64) -> Claim {
    Claim { subject, of, limit: Limit::Most(most) }
}

pub(crate) fn all() -> Vec<Row> {
    let mut rows = buffered();
    rows.extend(written());
    rows.extend(queued());
    rows.extend(paced());
    rows.push(pipe());
    rows.push(footprint());
    rows
}

fn buffered() -> Vec<Row> {
    let one = |name, about, class, floor, rolling| Row {
        name,
        about,
        work: Work::Flood { mib: 1024 },
        class,
        subjects: vec![
            (BUFFERED, 1),
            ("floor", 1),
            ("floor, reserved", 1),
            ("rolling-file 64K", 1),
            ("rolling-file", 1),
            ("flexi_logger buffered", 1),
            ("spdlog-rs", 1),
        ],
        columns: FLOOD,
        claims: vec![
            most((BUFFERED, 1), "CPU", floor, &[("floor", 1)]),
            most((BUFFERED, 1), "CPU", rolling, &[("rolling-file 64K", 1)]),
        ],
    };
    let four = |name, about, class| Row {
        name,
        about,
        work: Work::Flood { mib: 1024 },
        class,
        subjects: vec![
            (BUFFERED, 1),
            (BUFFERED, 4),
            ("floor", 4),
            ("floor, reserved", 4),
            ("rolling-file 64K", 4),
            ("flexi_logger buffered", 4),
        ],
        columns: FLOOD,
        claims: vec![
            most((BUFFERED, 4), "CPU", 1.25, &[("floor", 4)]),
            most((BUFFERED, 4), "wall", 1.0, &[(BUFFERED, 1)]),
        ],
    };
    vec![
        one("buffered-lines-1", "64 KiB buffer, lines, 1 thread", Class::Lines, 1.25, 0.36),
        one("buffered-traces-1", "64 KiB buffer, traces, 1 thread", Class::Traces, 1.1, 0.8),
        four("buffered-lines-4", "64 KiB buffer, lines, 4 threads", Class::Lines),
        four("buffered-traces-4", "64 KiB buffer, traces, 4 threads", Class::Traces),
    ]
}

fn written() -> Vec<Row> {
    let many = |name, about, threads| Row {
        name,
        about,
        work: Work::Flood { mib: 256 },
        class: Class::Lines,
        subjects: vec![
            (WRITTEN, threads),
            ("file-rotate", threads),
            ("logroller", threads),
            ("flexi_logger", threads),
            ("log4rs", threads),
            ("mutex + write_all", threads),
        ],
        columns: FLOOD,
        claims: ["CPU", "wall"]
            .map(|of| {
                most(
                    (WRITTEN, threads),
                    of,
                    1.0 / 3.0,
                    &[("file-rotate", threads), ("logroller", threads)],
                )
            })
            .into(),
    };
    let one = |name, about, class, mib| Row {
        name,
        about,
        work: Work::Flood { mib },
        class,
        subjects: vec![(WRITTEN, 1), ("mutex + write_all", 1), ("file-rotate", 1)],
        columns: FLOOD,
        claims: vec![most((WRITTEN, 1), "CPU", 1.03, &[("mutex + write_all", 1)])],
    };
    vec![
        many("written-lines-4", "in the kernel at return, lines, 4 threads", 4),
        many("written-lines-8", "in the kernel at return, lines, 8 threads", 8),
        one("written-lines-1", "in the kernel at return, lines, 1 thread", Class::Lines, 256),
        one("written-traces-1", "in the kernel at return, traces, 1 thread", Class::Traces, 1024),
    ]
}

fn queued() -> Vec<Row> {
    let block = |name, about, class, mib, times| Row {
        name,
        about,
        work: Work::Flood { mib },
        class,
        subjects: vec![(QUEUED, 4), ("spdlog-rs async", 4), ("tracing-appender", 4), ("floor", 4)],
        columns: QUEUE,
        claims: vec![
            most((QUEUED, 4), "CPU", times, &[("spdlog-rs async", 4)]),
            value((QUEUED, 4), "memory over queue", 2.0),
        ],
    };
    vec![
        block(
            "queued-block-lines",
            "a queue that blocks, lines, 4 threads",
            Class::Lines,
            256,
            0.13,
        ),
        block(
            "queued-block-traces",
            "a queue that blocks, traces, 4 threads",
            Class::Traces,
            1024,
            0.35,
        ),
        Row {
            name: "queued-drop-traces",
            about: "a queue that drops, traces, 4 threads that never pause",
            work: Work::Saturated,
            class: Class::Traces,
            subjects: vec![
                (QUEUED_DROP, 4),
                ("tracing-appender lossy", 4),
                ("spdlog-rs async drop", 4),
            ],
            columns: DROPS,
            claims: vec![Claim {
                subject: (QUEUED_DROP, 4),
                of: "kept MB/s",
                limit: Limit::AtLeast(3.0, vec![("tracing-appender lossy", 4)]),
            }],
        },
    ]
}

fn paced() -> Vec<Row> {
    let tracing = [("tracing-appender lossy", 2), ("tracing-appender", 2)];
    let rotating = [("spdlog-rs async", 2)];
    let ours = [(WRITTEN, 2), (BUFFERED, 2), (QUEUED, 2)];
    vec![
        Row {
            name: "queued-paced",
            about: "a queue, traces, 2 threads with 10,000 a second each, in bursts of 10",
            work: Work::Paced,
            class: Class::Traces,
            subjects: vec![
                (QUEUED, 2),
                tracing[0],
                tracing[1],
                rotating[0],
                ("floor", 2),
                ("nothing", 2),
            ],
            columns: CALLS,
            claims: vec![
                most((QUEUED, 2), "p99", 1.0, &tracing),
                most((QUEUED, 2), "p99.9", 1.0, &tracing),
                most((QUEUED, 2), "longest", 1.0, &rotating),
                value((QUEUED, 2), "longest", 1400.0),
                value((QUEUED, 2), "CPU %", 12.0),
            ],
        },
        Row {
            name: "paced",
            about: "a caller's longest call over rotations, traces, 2 threads, 10,000 a second each",
            work: Work::Paced,
            class: Class::Traces,
            subjects: ours
                .into_iter()
                .chain([
                    ("flexi_logger", 2),
                    ("file-rotate", 2),
                    ("rolling-file 64K", 2),
                    ("logroller", 2),
                    ("log4rs", 2),
                    ("floor", 2),
                ])
                .collect(),
            columns: CALLS,
            claims: ours.map(|ours| value(ours, "longest", 1500.0)).into(),
        },
    ]
}

fn pipe() -> Row {
    Row {
        name: "pipe",
        about: "traces from standard input to rotated files",
        work: Work::Pipe { mib: 1024 },
        class: Class::Traces,
        subjects: ["cat", PIPED, "rotatelogs", "s6-log", "multilog", "svlogd"]
            .map(|name| (name, 1))
            .into(),
        columns: PIPE,
        claims: vec![
            most((PIPED, 1), "CPU", 1.3, &[("cat", 1)]),
            value((PIPED, 1), "begin inside a record", 0.0),
        ],
    }
}

fn footprint() -> Row {
    Row {
        name: "footprint",
        about: "traces, 4 threads, segments of 1 MiB, 4 kept: blocks on the disk, each millisecond",
        work: Work::Footprint { mib: 256 },
        class: Class::Traces,
        subjects: [
            BUFFERED,
            WRITTEN,
            "file-rotate",
            "logroller",
            "rolling-file",
            "log4rs",
            "flexi_logger",
            "flexi_logger buffered",
            "spdlog-rs",
        ]
        .map(|name| (name, 4))
        .into(),
        columns: FOOTPRINT,
        claims: [BUFFERED, WRITTEN].map(|ours| value((ours, 4), "peak / nominal", 1.0)).into(),
    }
}
