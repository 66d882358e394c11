//! The queue as it is, with real threads and real time.

#[path = "../../logquota/src/appender/queue/mod.rs"]
mod queue;
#[path = "../../logquota/src/appender/sync.rs"]
mod sync;

mod alone;
mod reference;
mod together;

use crate::WhenFull;
