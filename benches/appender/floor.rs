//! What the others are compared with: the least that a rotating writer can do, and a file
//! under a mutex.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::subject::{Said, Setup, Sink};

const BLOCK: usize = 64 << 10;

/// The log, `a.log`, and `a.log.1` (the newest archive) to `a.log.KEEP`.
struct Chain {
    dir: PathBuf,
    file: File,
    len: u64,
    segment: u64,
    keep: u32,
    is_reserved: bool,
}

impl Chain {
    fn new(setup: &Setup, is_reserved: bool) -> Self {
        let file = Self::create(setup.dir.join("a.log"), setup.segment, is_reserved);
        let (dir, segment, keep) = (setup.dir.clone(), setup.segment, setup.keep);
        Chain { dir, file, len: 0, segment, keep, is_reserved }
    }

    fn create(path: PathBuf, segment: u64, is_reserved: bool) -> File {
        let file = OpenOptions::new().append(true).create_new(true).open(path).expect("a log");
        if is_reserved {
            let len = i64::try_from(segment).expect("a size of files");
            let mode = nix::fcntl::FallocateFlags::FALLOC_FL_KEEP_SIZE;
            nix::fcntl::fallocate(&file, mode, 0, len).expect("room on the disk");
        }
        file
    }

    fn write(&mut self, block: &[u8]) {
        if self.len + block.len() as u64 > self.segment {
            self.rotate();
        }
        self.file.write_all(block).expect("a write");
        self.len += block.len() as u64;
    }

    fn rotate(&mut self) {
        let archive = |number: u32| self.dir.join(format!("a.log.{number}"));
        let _ = fs::remove_file(archive(self.keep));
        for number in (1..self.keep).rev() {
            let _ = fs::rename(archive(number), archive(number + 1));
        }
        fs::rename(self.dir.join("a.log"), archive(1)).expect("a rename");
        self.file = Self::create(self.dir.join("a.log"), self.segment, self.is_reserved);
        self.len = 0;
    }
}

/// Records are copied into a block of 64 KiB under a mutex; a full block is one `write(2)`
/// at a multiple of 64 KiB; rotation is a chain of renames. It cuts records where a block
/// ends, it checks nothing, and it keeps to no quota.
pub(crate) struct Floor(Mutex<(Vec<u8>, Chain)>);

impl Floor {
    pub(crate) fn new(setup: &Setup, is_reserved: bool) -> Self {
        Floor(Mutex::new((Vec::with_capacity(BLOCK), Chain::new(setup, is_reserved))))
    }
}

impl Sink for Floor {
    fn put(&self, record: &str) {
        let mut guard = self.0.lock().expect("no panics");
        let (block, chain) = &mut *guard;
        let mut rest = record.as_bytes();
        while block.len() + rest.len() >= BLOCK {
            let (now, later) = rest.split_at(BLOCK - block.len());
            block.extend_from_slice(now);
            chain.write(block);
            block.clear();
            rest = later;
        }
        block.extend_from_slice(rest);
    }

    fn finish(self: Box<Self>) -> Said {
        let (block, mut chain) = self.0.into_inner().expect("no panics");
        chain.write(&block);
        Said::default()
    }
}

/// `write_all` of each record under a mutex, to one file without end.
pub(crate) struct MutexFile(Mutex<File>);

impl MutexFile {
    pub(crate) fn new(setup: &Setup) -> Self {
        let path = setup.dir.join("a.log");
        let file = OpenOptions::new().append(true).create_new(true).open(path).expect("a log");
        MutexFile(Mutex::new(file))
    }
}

impl Sink for MutexFile {
    fn put(&self, record: &str) {
        self.0.lock().expect("no panics").write_all(record.as_bytes()).expect("a write");
    }

    fn finish(self: Box<Self>) -> Said {
        Said::default()
    }
}
