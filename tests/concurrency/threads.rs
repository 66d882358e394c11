//! The queue, and the sharing of calls, as they are, with real threads and real time.

#[path = "../../logquota/src/appender/queue/mod.rs"]
mod queue;
#[path = "../../logquota/src/appender/share.rs"]
mod share;
#[path = "../../logquota/src/appender/sync.rs"]
mod sync;

mod alone;
mod reference;
mod sharing;
mod together;

use crate::WhenFull;
