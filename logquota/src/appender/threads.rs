//! The threads of one appender: the keeper, which looks once a second whether all is well
//! and deletes what has to go, and the packer, which compresses.
//!
//! They hold the core, not the appender's handle; so the last clone that is dropped ends them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::builder::Delivery;
use super::core::Core;
use super::env::lock;
use crate::error::{Error, Op, Result};

/// How often the keeper looks around.
const TICK: Duration = Duration::from_secs(1);

/// So much stack is plenty for what the threads do.
const STACK: usize = 512 << 10;

#[derive(Default)]
pub(super) struct Threads {
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    pub(super) fn start(core: &Arc<Core>, background: bool) -> Result<Self> {
        let threads = Self::default();
        if !background {
            return Ok(threads);
        }
        threads.spawn(core, "logquota-keep", keep)?;
        if core.env.policy.compress.is_some() {
            threads.spawn(core, "logquota-pack", pack)?;
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
                core.env.is_closing.store(true, Ordering::Release);
                core.keeper.ring();
                self.join(core);
                Err(Error::io(Op::StartThread, &core.env.path)(error))
            }
        }
    }

    /// Waits for them to end, except for the one that is waiting.
    pub(super) fn join(&self, core: &Core) {
        core.keeper.ring();
        core.packer.ring();
        let handles = std::mem::take(&mut *lock(&self.handles));
        for handle in handles {
            if handle.thread().id() != std::thread::current().id() {
                // A panic there was told by the panic hook already.
                let _ = handle.join();
            }
        }
    }
}

fn keep(core: &Core) {
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
        core.env.deliver();
    }
    core.env.deliver();
}

fn pack(core: &Core) {
    loop {
        core.packer.wait(None);
        if core.env.is_closing.load(Ordering::Acquire) {
            break;
        }
        core.upkeep(true);
        core.env.deliver();
    }
}
