//! Standard input and the signals, waited for together.
//!
//! A signal writes a byte into a socket of our own, so that one `poll(2)` sees both and none
//! comes between a look and a wait. Standard input is never switched to non-blocking: others
//! may share it.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use super::pump::{Input, Switch, Wake};

/// What the pipe is asked to hold, so that its writer has to wait less often for us.
const PIPE: usize = 1 << 20;

/// Does something that starts threads. They never get our signals, so that one that is sent
/// before some bytes is seen before them: this thread is the only one that it may interrupt.
pub(crate) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    let ours = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1];
    let ours: SigSet = ours.into_iter().collect();
    let is_blocked = ours.thread_block().is_ok();
    let result = f();
    if is_blocked {
        let _ = ours.thread_unblock();
    }
    result
}

/// Standard input.
pub(crate) struct Stdin {
    fd: io::Stdin,
    signals: Signals,
}

/// What has been asked for by signals.
struct Signals {
    wakes: UnixStream,
    stop: Arc<AtomicBool>,
    reopen: Arc<AtomicBool>,
    rotate: Arc<AtomicBool>,
}

impl Signals {
    fn register() -> io::Result<Self> {
        let (wakes, waker) = UnixStream::pair()?;
        wakes.set_nonblocking(true)?;
        let new = || Arc::new(AtomicBool::new(false));
        let signals = Self { wakes, stop: new(), reopen: new(), rotate: new() };
        let flags = [
            (SIGTERM, &signals.stop),
            (SIGINT, &signals.stop),
            (SIGHUP, &signals.reopen),
            (SIGUSR1, &signals.rotate),
        ];
        for (signal, flag) in flags {
            // In this order: who is woken finds the flag.
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
        }
        Ok(signals)
    }

    /// One thing that was asked for; what stops comes first.
    fn take(&mut self) -> Option<Wake> {
        if self.stop.load(Ordering::Acquire) {
            return Some(Wake::Stop);
        }
        let is = |flag: &AtomicBool| flag.swap(false, Ordering::AcqRel);
        if is(&self.reopen) {
            return Some(Wake::Switch(Switch::Reopen));
        }
        is(&self.rotate).then_some(Wake::Switch(Switch::Rotate))
    }

    /// Takes the bytes out that woke us. A flag that is set afterwards brings another.
    fn quieten(&mut self) {
        let mut bytes = [0; 64];
        while matches!(self.wakes.read(&mut bytes), Ok(1..)) {}
    }
}

impl Stdin {
    /// # Errors
    ///
    /// If the signals cannot be caught.
    pub(crate) fn open() -> io::Result<Self> {
        let fd = io::stdin();
        // No pipe, not allowed, too many of them: it works with less.
        let _ = rustix::pipe::fcntl_setpipe_size(&fd, PIPE);
        Ok(Self { fd, signals: Signals::register()? })
    }

    /// Whether a signal has asked for the end.
    pub(crate) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.signals.stop)
    }
}

impl Input for Stdin {
    fn wait(&mut self, patience: Option<Duration>) -> Wake {
        let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
        loop {
            if let Some(wake) = self.signals.take() {
                return wake;
            }
            let mut fds = [
                PollFd::new(&self.fd, PollFlags::IN),
                PollFd::new(&self.signals.wakes, PollFlags::IN),
            ];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return Wake::Patience,
                Err(rustix::io::Errno::INTR) => continue,
                // What is wrong with the input, the next read says.
                Err(_) => return Wake::Input,
                Ok(_) => {}
            }
            let [input, wakes] = fds.map(|fd| !fd.revents().is_empty());
            if wakes {
                self.signals.quieten();
            }
            // A signal from before these bytes may have been handled only now, on the way back.
            if let Some(wake) = self.signals.take() {
                return wake;
            }
            if input {
                return Wake::Input;
            }
        }
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.fd, room)?)
    }

    fn waiting(&mut self) -> usize {
        // Who cannot say so is not waited for.
        let waiting = rustix::io::ioctl_fionread(&self.fd).unwrap_or(0);
        usize::try_from(waiting).unwrap_or(PIPE)
    }
}
