//! What a folder occupies on the disk, each millisecond, while another process floods it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sampled {
    /// Most bytes at one instant.
    pub(crate) peak: u64,
    /// Bytes at the end.
    pub(crate) last: u64,
    /// Looks that counted.
    pub(crate) samples: u64,
}

pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Sampled>,
}

impl Sampler {
    pub(crate) fn start(dir: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut sampled = Sampled::default();
            loop {
                let is_last = stopped.load(Ordering::Relaxed);
                if let Some(bytes) = sample(&dir) {
                    sampled.peak = sampled.peak.max(bytes);
                    sampled.last = bytes;
                    sampled.samples += 1;
                }
                if is_last {
                    return sampled;
                }
                // A sample each millisecond.
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Sampler { stop, thread }
    }

    pub(crate) fn stop(self) -> Sampled {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a sampler")
    }
}

/// Looks twice, and believes it only if the same files were there: else a file that went
/// and the one that came after it would both count. Of each the smaller size counts, so that
/// the sum is not above what there was between the two looks.
fn sample(dir: &Path) -> Option<u64> {
    let (first, second) = (look(dir).ok()?, look(dir).ok()?);
    if !first.keys().eq(second.keys()) {
        return None;
    }
    Some(first.values().zip(second.values()).map(|(a, b)| a.min(b)).sum())
}

/// Bytes of each file, by inode: a file may be renamed while we look.
fn look(dir: &Path) -> io::Result<BTreeMap<u64, u64>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        match entry?.metadata() {
            Ok(meta) if meta.is_file() => {
                found.insert(meta.ino(), meta.blocks() * 512);
            }
            Ok(_) => {}
            // It went in between, which the second look shows.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
