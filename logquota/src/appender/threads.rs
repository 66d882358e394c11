//! The threads of one appender: the keeper, which looks once a second whether all is well
//! and deletes what has to go, and the packer, which compresses. Without compression there is a
//! packer only if an archive was found that is half compressed.
//!
//! They hold the core, not the appender's handle; so the last clone that is dropped ends them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::ballast;
use super::builder::Delivery;
use super::core::{Core, Front};
use super::env::lock;
use crate::error::{Error, Op, Result};
use crate::fs::os::stay_behind;

/// How often the keeper looks around.
const TICK: Duration = Duration::from_secs(1);

/// So much stack is plenty for what the threads do.
const STACK: usize = 512 << 10;

/// Wakes a thread of the background.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *lock(&self.rung) = true;
        self.changed.notify_all();
    }

    /// Waits until it rings, at most so long; says whether it did.
    pub(super) fn wait(&self, most: Option<Duration>) -> bool {
        let rung = lock(&self.rung);
        let mut rung = match most {
            Some(most) => {
                let waited = self.changed.wait_timeout_while(rung, most, |rung| !*rung);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.changed.wait_while(rung, |rung| !*rung);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        std::mem::take(&mut *rung)
    }
}

#[derive(Default)]
pub(super) struct Threads {
    /// The writer of a queue ends first: the others are still there for it.
    writer: Mutex<Option<JoinHandle<()>>>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    pub(super) fn start(core: &Arc<Core>, background: bool) -> Result<Self> {
        let threads = Self::default();
        if !background {
            return Ok(threads);
        }
        threads.spawn(core, "logquota-keep", keep)?;
        let has_halves = core.env.has_halves.load(Ordering::Acquire);
        if core.env.policy.compress.is_some() || has_halves {
            threads.spawn(core, "logquota-pack", pack)?;
        }
        if let Front::Queued(_) = &core.front {
            threads.spawn(core, "logquota-write", write)?;
            let writer = lock(&threads.handles).pop();
            *lock(&threads.writer) = writer;
        }
        core.keeper.ring();
        Ok(threads)
    }

    fn spawn(&self, core: &Arc<Core>, name: &str, work: fn(&Core)) -> Result<()> {
        let for_thread = Arc::clone(core);
        let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK);
        match thread.spawn(move || work(&for_thread)) {
            Ok(handle) => {
                lock(&self.handles).push(handle);
                Ok(())
            }
            Err(error) => {
                self.join(core);
                Err(Error::io(Op::StartThread, &core.env.path)(error))
            }
        }
    }

    /// Ends them, and waits for it; but for the one that asks for it.
    pub(super) fn join(&self, core: &Core) {
        let writer = lock(&self.writer).take();
        join_all(writer);
        core.end_background();
        let handles = std::mem::take(&mut *lock(&self.handles));
        join_all(handles);
    }
}

fn join_all(handles: impl IntoIterator<Item = JoinHandle<()>>) {
    for handle in handles {
        if handle.thread().id() != std::thread::current().id() {
            // A panic there was told by the panic hook already.
            let _ = handle.join();
        }
    }
}

fn write(core: &Core) {
    if let Front::Queued(queued) = &core.front {
        super::drain::drain(core, queued);
    }
}

fn keep(core: &Core) {
    stay_behind();
    let patience = match core.delivery {
        Delivery::Buffered { interval, .. } => interval.clamp(Duration::from_millis(1), TICK),
        _ => TICK,
    };
    loop {
        let rung = core.keeper.wait(Some(patience));
        if core.env.is_closing.load(Ordering::Acquire) {
            break;
        }
        if !rung {
            core.tick();
        }
        let wants = core.env.take_upkeep();
        if rung || wants {
            core.upkeep(false);
            core.packer.ring();
        }
        ballast::look_after(&core.env);
        core.env.deliver();
    }
    core.env.deliver();
}

fn pack(core: &Core) {
    stay_behind();
    loop {
        core.packer.wait(None);
        if core.env.is_closing.load(Ordering::Acquire) {
            break;
        }
        core.upkeep(true);
        core.env.deliver();
    }
}
