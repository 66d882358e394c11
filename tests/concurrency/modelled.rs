//! The queue under a scheduler that decides who runs next, at every lock and every wait.

#[path = "../../logquota/src/appender/queue/mod.rs"]
mod queue;

mod endings;
mod kit;
mod limits;
mod order;
mod sync;

use crate::WhenFull;
