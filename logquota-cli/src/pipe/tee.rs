//! The copy for standard output.
//!
//! A reader that has gone ends the copy and not the log. A reader that is slow is waited for,
//! as `tee(1)` does, after the log has been written; only a signal to stop ends that.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;

/// A pipe that is ready takes this much without waiting (`PIPE_BUF`).
const PIECE: usize = 4096;

/// How often a wait looks whether it shall end.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

pub(crate) struct Tee {
    fd: io::Stdout,
    stop: Arc<AtomicBool>,
    /// A file takes everything at once.
    piece: usize,
    is_open: bool,
}

impl Tee {
    pub(crate) fn new(stop: Arc<AtomicBool>) -> Self {
        let fd = io::stdout();
        let is_file = rustix::fs::fstat(&fd)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
        let piece = if is_file && !fd.is_terminal() { usize::MAX } else { PIECE };
        Self { fd, stop, piece, is_open: true }
    }

    /// Copies `bytes`. Says, once, why there will be no more copies, unless the reader has
    /// just gone.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Option<io::Error> {
        if !self.is_open {
            return None;
        }
        let error = self.copy(bytes).err()?;
        self.is_open = false;
        (error.kind() != io::ErrorKind::BrokenPipe).then_some(error)
    }

    fn copy(&self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.piece < usize::MAX {
                self.wait()?;
            }
            let piece = rest.get(..self.piece).unwrap_or(rest);
            match rustix::io::write(&self.fd, piece) {
                Ok(len) => rest = rest.get(len..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        loop {
            let mut fds = [PollFd::new(&self.fd, PollFlags::OUT)];
            match poll(&mut fds, Some(&LOOK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                _ => return Ok(()),
            }
            if self.stop.load(Ordering::Acquire) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
    }
}
