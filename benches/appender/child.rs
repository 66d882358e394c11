//! The process of one subject: warms up, floods or paces, and prints its figures.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use crate::args::Args;
use crate::records::{Class, Records};
use crate::subject::{Kept, Said, Setup, Sink, open};

/// Printed instead of figures by a build that has no such subject.
pub(crate) const ABSENT: &str = "absent";

/// Records that a paced thread writes at once, each millisecond.
const BURST: u32 = 10;

/// How a subject is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drive {
    /// As fast as it takes records, until so many bytes were offered.
    Bytes(u64),
    /// As fast as it takes records, until time is up.
    Time(Duration),
    /// [`BURST`] records each millisecond, until time is up.
    Paced(Duration),
}

/// What a process is asked to do; everything it needs is in its arguments.
pub(crate) struct Order {
    pub(crate) subject: String,
    pub(crate) class: Class,
    pub(crate) threads: usize,
    pub(crate) drive: Drive,
    pub(crate) segment: u64,
    pub(crate) keep: u32,
    pub(crate) is_compressed: bool,
    pub(crate) dir: PathBuf,
}

impl Order {
    pub(crate) fn to_args(&self) -> Vec<String> {
        let drive = match self.drive {
            Drive::Bytes(bytes) => ("--bytes", bytes.to_string()),
            Drive::Time(time) => ("--flood-for", time.as_secs_f64().to_string()),
            Drive::Paced(time) => ("--paced-for", time.as_secs_f64().to_string()),
        };
        let pairs = [
            drive,
            ("--subject", self.subject.clone()),
            ("--class", self.class.name().to_owned()),
            ("--threads", self.threads.to_string()),
            ("--segment", self.segment.to_string()),
            ("--keep", self.keep.to_string()),
            ("--compressed", u8::from(self.is_compressed).to_string()),
            ("--dir", self.dir.display().to_string()),
        ];
        let mut args = vec!["--child".to_owned()];
        args.extend(pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
        args
    }

    pub(crate) fn from_args(args: &Args) -> Self {
        Order {
            subject: args.need("--subject"),
            class: match args.need::<String>("--class").as_str() {
                "lines" => Class::Lines,
                _ => Class::Traces,
            },
            threads: args.need("--threads"),
            drive: if let Some(seconds) = args.get("--flood-for") {
                Drive::Time(Duration::from_secs_f64(seconds))
            } else if let Some(seconds) = args.get("--paced-for") {
                Drive::Paced(Duration::from_secs_f64(seconds))
            } else {
                Drive::Bytes(args.need("--bytes"))
            },
            segment: args.need("--segment"),
            keep: args.need("--keep"),
            is_compressed: args.need::<u8>("--compressed") == 1,
            dir: args.need("--dir"),
        }
    }
}

pub(crate) fn run(order: &Order) -> io::Result<()> {
    let records = Records::new(order.class);
    // Not below the subject's folder, where somebody may be counting blocks.
    warm_up(&order.dir.with_extension("warm"), order.segment * u64::from(order.keep + 2))?;
    let setup = Setup {
        dir: order.dir.clone(),
        segment: order.segment,
        keep: order.keep,
        is_compressed: order.is_compressed,
    };
    let mut latencies: Vec<Vec<u32>> = Vec::new();
    if let Drive::Paced(time) = order.drive {
        let calls = (time.as_secs_f64() * 1000.0) as usize * BURST as usize;
        // Written now: a page that is touched for the first time is slow.
        latencies = (0..order.threads).map(|_| vec![1; calls]).collect();
    }
    // As in an application: a process of one thread would have cheaper system calls, and so
    // would those who start none beside those who do.
    std::thread::spawn(|| {
        loop {
            std::thread::park();
        }
    });
    let (memory, cpu, start) = (begin_peak(), cpu_seconds(), Instant::now());
    let Some(sink) = open(&order.subject, &setup) else {
        println!("{ABSENT}");
        return Ok(());
    };
    let offered = if latencies.is_empty() {
        flood(&*sink, &records, order)
    } else {
        pace(&*sink, &records, &mut latencies)
    };
    let callers = start.elapsed().as_secs_f64();
    let said = sink.finish();
    let wall = start.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    let growth = peak() as f64 - memory as f64;
    let disk = bytes_in(&order.dir)?;
    let mut figures = figures(order, offered, wall, cpu, &said, disk);
    figures.push(("callers MB/s", offered.bytes as f64 / callers / 1e6));
    figures.push(("memory", growth / 1_048_576.0));
    figures.push(("memory over queue", (growth - said.queue_bytes as f64) / 1_048_576.0));
    if !latencies.is_empty() {
        figures.extend(percentiles(latencies));
    }
    let mut out = io::stdout().lock();
    for (name, figure) in figures {
        writeln!(out, "{name}\t{figure}")?;
    }
    Ok(())
}

/// What was handed to a sink.
#[derive(Clone, Copy, Default)]
struct Offered {
    bytes: u64,
    records: u64,
}

impl Offered {
    fn add(&mut self, record: &str) {
        self.bytes += record.len() as u64;
        self.records += 1;
    }

    fn sum(parts: impl Iterator<Item = Self>) -> Self {
        parts.fold(Self::default(), |sum, part| Offered {
            bytes: sum.bytes + part.bytes,
            records: sum.records + part.records,
        })
    }
}

fn figures(
    order: &Order,
    offered: Offered,
    wall: f64,
    cpu: f64,
    said: &Said,
    disk: u64,
) -> Vec<(&'static str, f64)> {
    let bytes = offered.bytes as f64;
    let gib = bytes / f64::from(1 << 30);
    let dropped = said.dropped.unwrap_or(0);
    let kept = match said.kept {
        Kept::AllButDropped => bytes * (1.0 - dropped as f64 / offered.records as f64),
        Kept::OnDisk => disk as f64,
        Kept::Bytes(bytes) => bytes as f64,
    };
    // Small runs delete nothing.
    let all_kept = order.subject != "nothing" && kept >= bytes;
    let mut figures = vec![
        ("wall", wall / gib),
        ("CPU", cpu / gib),
        ("CPU %", cpu / wall * 100.0),
        ("MB/s", bytes / wall / 1e6),
        ("offered bytes", bytes),
        ("disk bytes", disk as f64),
        ("kept", kept / bytes * 100.0),
        ("kept MB/s", kept / wall / 1e6),
        ("all kept", f64::from(u8::from(all_kept))),
    ];
    if !matches!(order.drive, Drive::Bytes(_)) {
        figures.retain(|(name, _)| *name != "wall");
    }
    figures
}

/// As fast as the sink takes them.
fn flood(sink: &dyn Sink, records: &Records, order: &Order) -> Offered {
    let (share, time) = match order.drive {
        Drive::Bytes(bytes) => (bytes / order.threads as u64, None),
        Drive::Time(time) | Drive::Paced(time) => (u64::MAX, Some(time)),
    };
    let barrier = Barrier::new(order.threads);
    let is_over = AtomicBool::new(false);
    let one = |thread: usize| {
        let mut offered = Offered::default();
        let mut each = records.from(thread * records.len() / order.threads);
        barrier.wait();
        while offered.bytes < share && !is_over.load(Ordering::Relaxed) {
            let Some(record) = each.next() else { break };
            sink.put(record);
            offered.add(record);
        }
        offered
    };
    if order.threads == 1 {
        return one(0);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..order.threads).map(|thread| scope.spawn(move || one(thread))).collect();
        if let Some(time) = time {
            // The flood lasts a time, not an amount.
            std::thread::sleep(time);
            is_over.store(true, Ordering::Relaxed);
        }
        Offered::sum(threads.into_iter().map(|thread| thread.join().expect("a writer")))
    })
}

/// A burst each millisecond from each thread, and how long each call took, in nanoseconds.
fn pace(sink: &dyn Sink, records: &Records, latencies: &mut [Vec<u32>]) -> Offered {
    let threads = latencies.len();
    let start = Instant::now() + Duration::from_millis(5);
    let one = |thread: usize, took: &mut [u32]| {
        let mut offered = Offered::default();
        let mut each = records.from(thread * records.len() / threads);
        // Threads of an application do not wake at the same instant.
        let mut due = start + Duration::from_micros(400) * thread as u32;
        for burst in took.chunks_mut(BURST as usize) {
            let now = Instant::now();
            if now < due {
                // The pace is what is measured here.
                std::thread::sleep(due - now);
            }
            for (took, record) in burst.iter_mut().zip(&mut each) {
                let call = Instant::now();
                sink.put(record);
                *took = u32::try_from(call.elapsed().as_nanos()).unwrap_or(u32::MAX);
                offered.add(record);
            }
            due += Duration::from_millis(1);
        }
        offered
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = latencies
            .iter_mut()
            .enumerate()
            .map(|(thread, took)| scope.spawn(move || one(thread, took)))
            .collect();
        Offered::sum(threads.into_iter().map(|thread| thread.join().expect("a writer")))
    })
}

/// In microseconds.
fn percentiles(latencies: Vec<Vec<u32>>) -> Vec<(&'static str, f64)> {
    let mut all = latencies.concat();
    all.sort_unstable();
    let at = |share: f64| {
        let index = ((all.len() as f64 * share) as usize).min(all.len().saturating_sub(1));
        f64::from(all.get(index).copied().unwrap_or(0)) / 1e3
    };
    let names =
        [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("longest", 1.0)];
    names.map(|(name, share)| (name, at(share))).to_vec()
}

/// The machine may have given free memory back to its host, which costs whoever takes it
/// again; so take as much as the run will, just before it.
fn warm_up(path: &Path, bytes: u64) -> io::Result<()> {
    let block = vec![b'x'; 256 << 10];
    let mut file = fs::File::create(path)?;
    for _ in 0..bytes / block.len() as u64 {
        file.write_all(&block)?;
    }
    drop(file);
    fs::remove_file(path)
}

/// Of all threads, user and system.
fn cpu_seconds() -> f64 {
    usage_of(UsageWho::RUSAGE_SELF)
}

pub(crate) fn usage_of(who: UsageWho) -> f64 {
    let usage = getrusage(who).expect("a usage");
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Starts the kernel's record of the peak anew; returns the present size. Without the pages of
/// the program's file: a subject with more code is not one that takes more memory.
fn begin_peak() -> u64 {
    let _ = fs::write("/proc/self/clear_refs", "5");
    status_of("self", "VmRSS:").saturating_sub(status_of("self", "RssFile:"))
}

fn peak() -> u64 {
    status_of("self", "VmHWM:").saturating_sub(status_of("self", "RssFile:"))
}

/// A size of a process, in bytes.
pub(crate) fn status_of(process: &str, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or(0) * 1024
}

/// Lengths of the files in `dir`.
pub(crate) fn bytes_in(dir: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let meta = entry?.metadata()?;
        sum += if meta.is_file() { meta.len() } else { 0 };
    }
    Ok(sum)
}
