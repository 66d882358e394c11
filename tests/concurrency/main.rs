//! Threads that meet in the appender, in many orders.
//!
//! `modelled` compiles the appender's own sources, the queue and the sharing of calls, with a
//! model of locks, condition variables and timers in place of std's, and tries thousands of
//! schedules; a schedule without an end is found as a deadlock. `threads` is the queue with
//! std's, and real threads. `whole` is the appender around it.
//!
//! What a model cannot show: the memory order of the atomics outside of the locks (the model's
//! are all sequentially consistent), and how long anything takes.
//!
//! The schedules are the same in every run. `LOGQUOTA_LONG=1` tries 50 times as many. A
//! failure prints its schedule, for `shuttle::replay`.

#![expect(clippy::duplicate_mod, reason = "once on the model's locks, once on std's")]

mod modelled;
mod threads;
mod whole;

use std::time::Duration;

/// [`logquota::appender::WhenFull`], which promises other crates less than the queue needs: it
/// has to know all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhenFull {
    Block,
    BlockFor(Duration),
    DropNewest,
    DropOldest,
}
