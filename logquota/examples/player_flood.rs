//! A broken file makes a player throw exceptions in a loop, and the disk is nearly full.
//!
//! `cargo run --release --example player_flood -- [--seconds N] [DIR]`
//!
//! Eight threads log exceptions of 2 KiB as fast as they can, into a log with a quota of
//! 32 MiB. As root they do it on a disk of their own: 48 MiB of memory, of which somebody else
//! has 12, and in the middle of the run takes all the rest. It is mounted where only this
//! process sees it, and is gone with it. Otherwise, or in DIR, the disk is what it is.
//!
//! In the end the directory is read again, and every record is accounted for: received = on
//! disk + evicted + dropped. The exit code is 1 if that is not exact.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "an example is a program: it has a disk, a clock and arguments"
)]

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use logquota::appender::{Event, Stats};
use logquota::{Appender, Bytes, Codec};
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::statvfs;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const THREADS: u64 = 8;
const RECORD: usize = 2048;
const QUOTA: Bytes = Bytes::mib(32);
const SEGMENT: Bytes = Bytes::mib(4);
/// What somebody else has on the disk of our own, and its size.
const OTHERS: usize = 12 << 20;
const DISK: &str = "size=48m";

const USAGE: &str = "usage: player_flood [--seconds N] [DIR]";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("player_flood: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool> {
    let (seconds, folder) = arguments()?;
    let place = Place::prepare(folder)?;
    let screen = Screen { is_live: io::stdout().is_terminal() };
    println!("{}", place.describe()?);
    println!("{THREADS} threads log exceptions of 2 KiB for {seconds} s; the quota is {QUOTA}.\n");

    let news = Mutex::new(Vec::new());
    let news: &'static Mutex<Vec<String>> = Box::leak(Box::new(news));
    let log = Appender::builder(place.folder.join("player.log"))
        .rotate_at(SEGMENT)
        .compress(Codec::Zstd)
        .quota(QUOTA)
        .on_event(|event| {
            if let Some(text) = words(event) {
                news.lock().expect("never poisoned").push(text);
            }
        })
        .open()?;

    let time = Duration::from_secs_f64(seconds);
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| -> Result<()> {
        let _at_the_end = Stop(&stop);
        for thread in 0..THREADS {
            let (log, stop, sent) = (&log, &stop, &sent);
            scope.spawn(move || flood(log, thread, stop, sent));
        }
        watch(&place, &log, time, &screen, news)
    })?;
    let stats = log.close()?;
    screen.row(&stats, time, &place)?;
    screen.end()?;

    let exact = account(&place, &stats, sent.load(Ordering::Relaxed))?;
    if !exact || place.temporary.is_none() {
        println!("The logs are in {}.", place.keep().display());
    }
    Ok(exact)
}

/// Ends the flood, also if the show broke off.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The player: it throws, and throws, and throws.
fn flood(log: &Appender, thread: u64, stop: &AtomicBool, sent: &AtomicU64) {
    let mut number = 0u64;
    while !stop.load(Ordering::Relaxed) {
        // Lost records are in the account, too.
        let _ = log.write_record(&exception(thread, number));
        number += 1;
    }
    sent.fetch_add(number, Ordering::Relaxed);
}

/// One record: several lines, of 2 KiB together, each time a little different.
fn exception(thread: u64, number: u64) -> Vec<u8> {
    let mut text = format!(
        "ERROR #{thread}:{number} media.decode.FrameError: no key frame at offset {:#018x}\n",
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    );
    let mut depth = 0u64;
    while text.len() < RECORD - 90 {
        let line = (number + depth * 37) % 997;
        text.push_str(&format!(
            "    at media.decode.Pipeline.stage{depth:02}(pipeline.rs:{line})\n"
        ));
        depth += 1;
    }
    let rest = RECORD - text.len() - "    at ()\n".len();
    text.push_str(&format!("    at ({})\n", "~".repeat(rest)));
    text.into_bytes()
}

/// Shows how it goes, and has somebody else take the rest of the disk in the middle.
fn watch(
    place: &Place,
    log: &Appender,
    time: Duration,
    screen: &Screen,
    news: &Mutex<Vec<String>>,
) -> Result<()> {
    let began = Instant::now();
    let beat = Duration::from_millis(if screen.is_live { 100 } else { 500 });
    let mut thief = place.is_ours.then(|| place.folder.with_file_name("everything-else.bin"));
    let mut stolen = None;
    screen.head()?;
    while began.elapsed() < time {
        let now = began.elapsed();
        if now > time.mul_f64(0.4)
            && let Some(path) = thief.take()
        {
            fill(&path, usize::MAX);
            screen.note("  somebody else takes all that is free on the disk")?;
            stolen = Some(path);
        }
        if now > time.mul_f64(0.7)
            && let Some(path) = stolen.take()
        {
            fs::remove_file(path)?;
            screen.note("  somebody else gives it back")?;
        }
        for text in news.lock().expect("never poisoned").drain(..) {
            screen.note(&format!("  {text}"))?;
        }
        screen.row(&log.stats(), now, place)?;
        // Until the row is to be shown anew.
        std::thread::sleep(beat.min(time.saturating_sub(began.elapsed())));
    }
    Ok(())
}

fn words(event: &Event) -> Option<String> {
    match event {
        Event::LossBegan { why, .. } => Some(format!("records are being lost: {why}")),
        Event::LossEnded { records, .. } => Some(format!("{records} records were lost")),
        Event::UpkeepFailed { why } => Some(format!("upkeep: {why}")),
        _ => None,
    }
}

/// Reads everything again, and compares.
fn account(place: &Place, stats: &Stats, sent: u64) -> Result<bool> {
    let mut found = Found::default();
    let mut blocks = 0;
    for entry in fs::read_dir(&place.folder)? {
        let entry = entry?;
        blocks += entry.metadata()?.blocks() * 512;
        let file = File::open(entry.path())?;
        let mut text = Vec::new();
        if entry.path().extension().is_some_and(|extension| extension == "zst") {
            logquota::codec::decoder(Codec::Zstd, file)?.read_to_end(&mut text)?;
        } else {
            { file }.read_to_end(&mut text)?;
        }
        found.read(&text);
    }
    let lost = stats.dropped.total();
    let sum = found.whole + stats.evicted_records + lost;
    println!(
        "received  {:>13}  by the appender; {} were sent",
        grouped(stats.received),
        grouped(sent)
    );
    println!("on disk   {:>13}  whole, counted by reading them again", grouped(found.whole));
    println!(
        "evicted   {:>13}  with {} files",
        grouped(stats.evicted_records),
        stats.evicted_files
    );
    println!("dropped   {:>13}", grouped(lost));
    println!(
        "peak      {:>13}  of {QUOTA}; {} now, by its blocks",
        stats.peak.to_string(),
        Bytes::new(blocks)
    );
    println!(
        "{} rotations, {} archives compressed",
        grouped(stats.rotations),
        grouped(stats.compressions)
    );
    let exact = sent == stats.received && stats.received == sum && found.torn == 0;
    let within = stats.peak <= QUOTA && Bytes::new(blocks) <= QUOTA;
    match (exact, within) {
        (true, true) => println!("\nThe account is exact, and the quota held."),
        _ => println!(
            "\nWRONG: {} records unaccounted for, {} torn, quota {}",
            i128::from(sent) - i128::from(sum),
            found.torn,
            if within { "held" } else { "passed" }
        ),
    }
    Ok(exact && within)
}

/// What is on the disk.
#[derive(Default)]
struct Found {
    whole: u64,
    torn: u64,
}

impl Found {
    fn read(&mut self, mut text: &[u8]) {
        while !text.is_empty() {
            if text.starts_with(b"logquota: ") {
                // The line about records that were lost.
                let end =
                    text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
                text = &text[end..];
                continue;
            }
            let (record, rest) = text.split_at(RECORD.min(text.len()));
            if is_whole(record) {
                self.whole += 1;
                text = rest;
            } else {
                self.torn += 1;
                break;
            }
        }
    }
}

/// Whether it is, byte for byte, what a thread has written.
fn is_whole(record: &[u8]) -> bool {
    let head = record.get(..60).map(String::from_utf8_lossy).unwrap_or_default();
    let id = head.strip_prefix("ERROR #").and_then(|rest| rest.split(' ').next());
    let Some((thread, number)) = id.and_then(|id| id.split_once(':')) else { return false };
    let (Ok(thread), Ok(number)) = (thread.parse(), number.parse()) else { return false };
    record == exception(thread, number)
}

/// Where it happens.
struct Place {
    folder: PathBuf,
    /// A disk of our own is mounted on this.
    is_ours: bool,
    temporary: Option<PathBuf>,
}

impl Place {
    fn prepare(folder: Option<PathBuf>) -> Result<Self> {
        if let Some(folder) = folder {
            fs::create_dir_all(&folder)?;
            if fs::read_dir(&folder)?.next().is_some() {
                return Err(format!("{} is not empty", folder.display()).into());
            }
            return Ok(Self { folder, is_ours: false, temporary: None });
        }
        let root = std::env::temp_dir().join(format!("player-flood-{}", std::process::id()));
        fs::create_dir(&root)?;
        let is_ours = mount_on(&root).is_ok();
        if is_ours {
            fill(&root.join("somebody-else.bin"), OTHERS);
        }
        let folder = root.join("log");
        fs::create_dir(&folder)?;
        Ok(Self { folder, is_ours, temporary: Some(root) })
    }

    fn describe(&self) -> Result<String> {
        let (folder, free) = (self.folder.display(), self.free()?);
        Ok(if self.is_ours {
            format!("A disk of 48 MiB, of which somebody else has 12; {free} are free.")
        } else {
            format!("{folder}: {free} are free on this disk.")
        })
    }

    fn free(&self) -> Result<Bytes> {
        let space = statvfs(&self.folder)?;
        Ok(Bytes::new(space.blocks_available() * space.fragment_size()))
    }

    /// Leaves the logs where they are, for a look; a disk of our own is gone all the same.
    fn keep(mut self) -> PathBuf {
        if !self.is_ours {
            self.temporary = None;
        }
        self.folder.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(root) = &self.temporary else { return };
        if self.is_ours {
            let _ = umount(root);
        }
        let _ = fs::remove_dir_all(root);
    }
}

/// A small disk, which only this process sees.
fn mount_on(folder: &Path) -> nix::Result<()> {
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    mount(Some("player-flood"), folder, Some("tmpfs"), MsFlags::empty(), Some(DISK))
}

/// Writes so many bytes, or all that the disk takes.
fn fill(path: &Path, bytes: usize) {
    let Ok(mut file) = File::create(path) else { return };
    let piece = vec![0x55u8; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let upto = piece.len().min(left);
        match file.write(&piece[..upto]) {
            Ok(count) if count > 0 => left -= count,
            _ => break,
        }
    }
}

/// A line that is written over again and again, or lines if nobody watches.
struct Screen {
    is_live: bool,
}

impl Screen {
    fn head(&self) -> io::Result<()> {
        writeln!(
            io::stdout(),
            "{:>7} {:>13} {:>13} {:>13} {:>7} {:>10} {:>9}",
            "time",
            "received",
            "written",
            "evicted",
            "dropped",
            "used",
            "disk free"
        )
    }

    fn row(&self, stats: &Stats, now: Duration, place: &Place) -> Result<()> {
        let row = format!(
            "{:>5.1} s {:>13} {:>13} {:>13} {:>7} {:>10} {:>9}",
            now.as_secs_f64(),
            grouped(stats.received),
            grouped(stats.written),
            grouped(stats.evicted_records),
            grouped(stats.dropped.total()),
            stats.used.to_string(),
            place.free()?.to_string(),
        );
        let (before, after) = if self.is_live { ("\r\x1b[K", "") } else { ("", "\n") };
        write!(io::stdout(), "{before}{row}{after}")?;
        Ok(io::stdout().flush()?)
    }

    /// Something that stays above the line.
    fn note(&self, text: &str) -> io::Result<()> {
        let text: String = text.chars().take(79).collect();
        writeln!(io::stdout(), "{}{text}", if self.is_live { "\r\x1b[K" } else { "" })
    }

    fn end(&self) -> io::Result<()> {
        writeln!(io::stdout(), "{}", if self.is_live { "\n" } else { "" })
    }
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn arguments() -> Result<(f64, Option<PathBuf>)> {
    let (mut seconds, mut folder) = (10.0, None);
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--seconds") => {
                let value = arguments.next().ok_or(USAGE)?;
                seconds = value.to_str().and_then(|text| text.parse().ok()).ok_or(USAGE)?;
                if !(0.1..=3_600.0).contains(&seconds) {
                    return Err("--seconds is a number from 0.1 to 3600".into());
                }
            }
            Some(text) if text.starts_with('-') => return Err(USAGE.into()),
            _ if folder.is_none() => folder = Some(PathBuf::from(argument)),
            _ => return Err(USAGE.into()),
        }
    }
    Ok((seconds, folder))
}
