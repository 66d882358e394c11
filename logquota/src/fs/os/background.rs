//! A thread of the background that lets others pass.

/// From now on this thread, when it wakes up, waits until those that run have had their time
/// (`SCHED_BATCH`, sched(7)). It has as much of the processor as before: one that had less, and
/// a lock, could keep everybody waiting.
///
/// Somebody who writes a record wakes the thread that deletes archives. Without this it took the
/// writer's processor in the middle of that very call, for the 3 to 6 ms that the system needs
/// to delete 16 MiB: the longest call of 160,000 was 0.35 to 4.4 ms, with it 0.35 to 0.46 ms.
///
/// Where the system refuses, nothing changes.
#[cfg(target_os = "linux")]
pub(crate) fn stay_behind() {
    use thread_priority::unix::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    use thread_priority::{ThreadPriority, ThreadPriorityValue};

    let nice = rustix::process::getpriority_process(None).unwrap_or(0).clamp(-20, 19);
    // The nice value is set with the policy, as a share of 99 that is rounded up to the next of
    // 40 values; just below its own, it comes out as what it is.
    let share = u8::try_from(((19 - nice) * 99 - 1).max(0) / 39).unwrap_or(0);
    let Ok(share) = ThreadPriorityValue::try_from(share) else { return };
    let _ = set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(share),
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch),
    );
}

/// Elsewhere nothing is changed.
#[cfg(not(target_os = "linux"))]
pub(crate) fn stay_behind() {}

#[cfg(all(test, target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "tests look at their own thread")]
mod tests {
    use super::*;

    /// Nice value and policy of this thread, as proc(5) has them.
    fn scheduled() -> (i32, u32) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("procfs");
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let fields: Vec<_> = fields.split_whitespace().collect();
        (fields[16].parse().expect("nice"), fields[38].parse().expect("a policy"))
    }

    #[test]
    fn a_thread_of_the_background_is_as_nice_as_before_and_interrupts_nobody() {
        const BATCH: u32 = 3;
        for nice in 0..20 {
            let thread = std::thread::spawn(move || {
                rustix::process::setpriority_process(None, nice).expect("less is allowed");
                stay_behind();
                scheduled()
            });
            assert_eq!(thread.join().expect("no panic"), (nice, BATCH));
        }
    }
}
