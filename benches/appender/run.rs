//! The parent: one process after the other, in turn, and what they printed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::child::{ABSENT, Drive, Order};
use crate::footprint::Sampler;
use crate::rows::{Row, Work};

/// One run of one subject.
pub(crate) type Figures = BTreeMap<String, f64>;

/// A subject that takes longer than this has hung.
const LONGEST_RUN: Duration = Duration::from_secs(300);

/// Sizes of a run.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) rounds: usize,
    /// In place of each row's own amount.
    pub(crate) mib: Option<u64>,
    /// Of a paced run; four times that of a saturated one.
    pub(crate) time: Duration,
    /// Sizes to show that everything works.
    pub(crate) is_test: bool,
}

/// What all rounds gave, in the order of the row's subjects; empty for one that is absent.
pub(crate) fn run(row: &Row, scale: Scale, base: &Path) -> io::Result<Vec<Vec<Figures>>> {
    let mut found: Vec<Vec<Figures>> = row.subjects.iter().map(|_| Vec::new()).collect();
    let mut absent = vec![false; row.subjects.len()];
    for round in 0..scale.rounds {
        for (index, subject) in row.subjects.iter().enumerate() {
            if absent[index] {
                continue;
            }
            let dir = base.join(format!("run-{round}-{index}"));
            match one(row, *subject, scale, dir)? {
                Some(figures) => found[index].push(figures),
                None => absent[index] = true,
            }
        }
    }
    Ok(found)
}

fn order(row: &Row, (name, threads): (&str, usize), scale: Scale, dir: PathBuf) -> Order {
    let bytes = |mib| Drive::Bytes(scale.mib.unwrap_or(mib) << 20);
    let (drive, segment, keep) = match row.work {
        Work::Flood { mib } | Work::Pipe { mib } => (bytes(mib), 64 << 20, 8),
        Work::Saturated => (Drive::Time(scale.time / 4), 64 << 20, 8),
        Work::Paced => (Drive::Paced(scale.time), 16 << 20, 8),
        Work::Footprint { mib } => (bytes(mib), 1 << 20, 4),
    };
    // The fewest that still rotate, with everything kept but for `Footprint`.
    let small = if row.work == Work::Paced { 512 << 10 } else { 256 << 10 };
    Order {
        subject: name.to_owned(),
        class: row.class,
        threads,
        drive,
        segment: if scale.is_test { small } else { segment },
        keep,
        is_compressed: matches!(row.work, Work::Footprint { .. }),
        dir,
    }
}

/// `None` if this build or this machine has no such subject.
fn one(
    row: &Row,
    subject: (&str, usize),
    scale: Scale,
    dir: PathBuf,
) -> io::Result<Option<Figures>> {
    fs::create_dir(&dir)?;
    let order = order(row, subject, scale, dir);
    let mut command = Command::new(std::env::current_exe()?);
    command.args(order.to_args()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let sampler =
        matches!(row.work, Work::Footprint { .. }).then(|| Sampler::start(order.dir.clone()));
    let text = wait(&mut child);
    let sampled = sampler.map(Sampler::stop);
    let text = text.map_err(|error| {
        io::Error::new(error.kind(), format!("{}, {}: {error}", row.name, order.subject))
    })?;
    if text.trim() == ABSENT {
        fs::remove_dir_all(&order.dir)?;
        return Ok(None);
    }
    let mut figures: Figures = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(name, figure)| Some((name.to_owned(), figure.parse().ok()?)))
        .collect();
    if let Some(sampled) = sampled {
        let nominal = (order.segment * u64::from(order.keep + 1)) as f64;
        figures.insert("peak / nominal".into(), sampled.peak as f64 / nominal);
        figures.insert("at the end / nominal".into(), sampled.last as f64 / nominal);
        figures.insert("samples".into(), sampled.samples as f64);
    } else if scale.is_test && row.work != Work::Saturated && figures.get("all kept") == Some(&1.0)
    {
        let on_disk = (figures["offered bytes"], figures["disk bytes"]);
        assert_eq!(on_disk.0, on_disk.1, "{}, {}: offered, on disk", row.name, order.subject);
    }
    fs::remove_dir_all(&order.dir)?;
    Ok(Some(figures))
}

/// What it printed, once it is over.
fn wait(child: &mut Child) -> io::Result<String> {
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > LONGEST_RUN {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!("still running after {LONGEST_RUN:?}")));
        }
        // Short beside a run, and nothing beside its CPU time.
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut text = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut text)?;
    }
    if !status.success() {
        return Err(io::Error::other(format!("{status}")));
    }
    Ok(text)
}
