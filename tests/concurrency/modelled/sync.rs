//! What `logquota/src/appender/sync.rs` has, on shuttle's scheduler.
//!
//! There is no time in a schedule. A wait with a limit either runs out after any number of
//! other threads' steps, or never, as the test says: what must not hang on a timer is tested
//! with timers that never run out.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use shuttle::rand::{Rng as _, thread_rng};

pub(super) use shuttle::sync::Condvar;
pub(super) use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// A limit from here on is never reached, whatever the timers do.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// Looks that a waiter whose time will run out has at its condition.
const LOOKS_MAX: usize = 8;

/// What a wait with a limit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timers {
    /// It ends sooner or later.
    RunOut,
    /// It ends when it is notified, or never.
    StandStill,
}

std::thread_local! {
    static TIMERS: Cell<Timers> = const { Cell::new(Timers::RunOut) };
}

/// For all schedules that this thread runs from now on.
pub(super) fn set_timers(timers: Timers) {
    TIMERS.set(timers);
}

#[derive(Debug)]
pub(super) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }
}

/// Knows its lock, so that a modelled wait can let go of it and take it again.
pub(super) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    guard: shuttle::sync::MutexGuard<'a, T>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    MutexGuard { mutex, guard: mutex.0.lock().expect("no thread panics") }
}

pub(super) fn lock_soon<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    mutex.0.try_lock().ok().map(|guard| MutexGuard { mutex, guard })
}

pub(super) fn wait_while<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    let MutexGuard { mutex, guard } = guard;
    MutexGuard { mutex, guard: condvar.wait_while(guard, condition).expect("no thread panics") }
}

pub(super) fn wait_at_most<'a, T>(
    condvar: &Condvar,
    mut guard: MutexGuard<'a, T>,
    limit: Duration,
    mut condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    if limit.is_zero() {
        return guard;
    }
    if limit >= FOR_EVER || TIMERS.get() == Timers::StandStill {
        return wait_while(condvar, guard, condition);
    }
    for _ in 0..thread_rng().gen_range(0..=LOOKS_MAX) {
        if !condition(&mut guard) {
            break;
        }
        let mutex = guard.mutex;
        drop(guard);
        shuttle::thread::yield_now();
        guard = lock(mutex);
    }
    guard
}
