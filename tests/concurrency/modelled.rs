//! The queue, and threads that share calls, under a scheduler that decides who runs next, at every lock and every wait.

#[path = "../../logquota/src/appender/queue/mod.rs"]
mod queue;
#[path = "../../logquota/src/appender/share.rs"]
mod share;

mod endings;
mod kit;
mod limits;
mod order;
mod sharing;
mod sync;

use crate::WhenFull;
