//! Progress on a terminal, for work that takes over a second.

use std::io::IsTerminal as _;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// Shorter work needs no bar.
const SHOW_AFTER: Duration = Duration::from_secs(1);

/// A bar on standard error, or nothing.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Option<Shown>,
}

#[derive(Debug)]
struct Shown {
    bar: ProgressBar,
    // Dropping the sender ends the thread that makes the bar visible.
    done: Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Nothing is shown.
    pub(crate) const fn none() -> Self {
        Self { shown: None }
    }

    /// Shows how many of `steps` are done, after a second; only if standard error is a
    /// terminal, and not with `--json` or `-q`.
    pub(crate) fn start(steps: usize, out: &Output) -> Self {
        if steps == 0 || out.json || out.quiet || !std::io::stderr().is_terminal() {
            return Self::none();
        }
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} steps, {elapsed}")
        {
            bar.set_style(style);
        }
        let (done, over) = channel::<()>();
        let late = bar.clone();
        let thread = std::thread::spawn(move || {
            if over.recv_timeout(SHOW_AFTER) == Err(RecvTimeoutError::Timeout) {
                late.set_draw_target(ProgressDrawTarget::stderr());
                late.enable_steady_tick(Duration::from_millis(200));
            }
        });
        Self { shown: Some(Shown { bar, done, thread }) }
    }

    /// One more step has ended.
    pub(crate) fn step(&self) {
        if let Some(shown) = &self.shown {
            shown.bar.inc(1);
        }
    }

    /// Takes the bar off the terminal.
    pub(crate) fn finish(self) {
        if let Some(Shown { bar, done, thread }) = self.shown {
            drop(done);
            // It cannot fail, and if it did there would be no bar to remove.
            let _ = thread.join();
            bar.finish_and_clear();
        }
    }
}
