//! Locks and condition variables as threads that meet use them; nothing here knows what they
//! guard.
//!
//! All of it goes through this file, so that `tests/concurrency` can put a model in its place
//! that tries thousands of schedules: what `queue` and `share` may use is what both have.

pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};

use std::hint;
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

/// Pauses between two looks at a lock that somebody else holds; then the thread sleeps.
///
/// The queue holds its lock for some 20 ns. Whoever sleeps because of that costs two system
/// calls, and whoever keeps looking takes the lock's cache line from its holder: with four
/// threads on two cores, std's own way (look 100 times, then sleep) took 140 to 160 ns of
/// processor time a record, this 40.
const PAUSES: [u32; 7] = [4, 8, 16, 32, 64, 128, 256];

/// Locks. A panic elsewhere does not matter: nothing is left half done where it could panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    for pauses in PAUSES {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(error)) => return error.into_inner(),
            Err(TryLockError::WouldBlock) => {}
        }
        for _ in 0..pauses {
            hint::spin_loop();
        }
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often [`lock_soon`] looks: for about as long as a `write` takes.
const LOOKS: u32 = 60;

/// Locks, unless somebody else holds it for longer than a short call takes.
pub(super) fn lock_soon<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    for _ in 0..LOOKS {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(error)) => return Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => hint::spin_loop(),
        }
    }
    None
}

/// Sleeps while `condition` holds.
pub(super) fn wait_while<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    condvar.wait_while(guard, condition).unwrap_or_else(PoisonError::into_inner)
}

/// Sleeps while `condition` holds, but not longer than `limit` in all.
pub(super) fn wait_at_most<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    limit: Duration,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    condvar.wait_timeout_while(guard, limit, condition).unwrap_or_else(PoisonError::into_inner).0
}
