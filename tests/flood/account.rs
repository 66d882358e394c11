//! No silent loss: what was received is on the disk, or counted as evicted or dropped.

use std::collections::BTreeMap;
use std::path::Path;

use logquota_tests::flood::{Found, Id, read};

use crate::kit::{Told, listing};

/// What one process's threads wrote, and what is there of it.
type Numbers = BTreeMap<u32, Vec<u64>>;

/// The records of one process, by thread, in the order of the log.
pub(crate) fn of_process(found: &Found, process: u32) -> Numbers {
    let mut numbers = Numbers::new();
    for Id { thread, number, .. } in found.records.iter().filter(|id| id.process == process) {
        numbers.entry(*thread).or_default().push(*number);
    }
    numbers
}

/// Numbers that should go on without a gap: ranges, for messages.
pub(crate) fn ranges(numbers: &[u64]) -> String {
    let parts = numbers.chunk_by(|a, b| a + 1 == *b);
    let part = |part: &[u64]| match part {
        [one] => one.to_string(),
        [first, .., last] => format!("{first} to {last}"),
        [] => String::new(),
    };
    parts.map(part).collect::<Vec<_>>().join(", ")
}

/// Reads the log; everything in it must be whole.
#[track_caller]
pub(crate) fn read_whole(log: &Path, about: &str) -> Found {
    let found = read(log);
    let folder = log.parent().expect("a folder");
    assert!(found.torn.is_empty(), "{about}: {:#?}\n{}", found.torn, listing(folder));
    found
}

/// The whole account of a process that was closed, or is quiet: no record too many or too few,
/// none twice, each thread's in order.
#[track_caller]
pub(crate) fn assert_account(found: &Found, process: u32, told: &Told, about: &str) {
    let about = format!("{about}: {told}");
    let number = |name| told.number(name);
    let there = of_process(found, process);
    let count: usize = there.values().map(Vec::len).sum();
    assert_eq!(number("received"), number("written") + number("dropped"), "{count}, {about}");
    assert_eq!(number("waiting"), 0, "{about}");
    assert_eq!(number("written"), count as u64 + number("evicted_records"), "{count}, {about}");
    let threads = told.0["threads"].as_array().expect("threads");
    let mut refused = 0;
    for (thread, done) in threads.iter().enumerate() {
        let next = done["next"].as_u64().expect("a number");
        assert_eq!(done["errors"].as_u64(), Some(0), "thread {thread}: {about}");
        let lost = lost(&done["lost"]);
        let lost_count: u64 = lost.iter().map(|(from, to)| to - from).sum();
        refused += lost_count;
        assert_eq!(done["accepted"].as_u64(), Some(next - lost_count), "thread {thread}: {about}");
        let thread = u32::try_from(thread).expect("few");
        let there = there.get(&thread).map_or(&[][..], Vec::as_slice);
        assert_suffix(there, next, &lost, number("dropped") == refused_so_far(threads), &|| {
            format!("thread {thread}: {about}")
        });
    }
    assert!(refused <= number("dropped"), "{about}");
}

fn refused_so_far(threads: &[serde_json::Value]) -> u64 {
    let lost = threads.iter().flat_map(|done| lost(&done["lost"]));
    lost.map(|(from, to)| to - from).sum()
}

fn lost(value: &serde_json::Value) -> Vec<(u64, u64)> {
    let ranges = value.as_array().into_iter().flatten();
    ranges.filter_map(|range| Some((range[0].as_u64()?, range[1].as_u64()?))).collect()
}

/// That `there` ascends, has nothing that was lost, and (if all losses are known by number)
/// goes on to the end from where it begins.
fn assert_suffix(
    there: &[u64],
    next: u64,
    lost: &[(u64, u64)],
    is_exact: bool,
    about: &dyn Fn() -> String,
) {
    for pair in there.windows(2) {
        assert!(pair[0] < pair[1], "{} then {}: {}", pair[0], pair[1], about());
    }
    let is_lost = |number: u64| lost.iter().any(|(from, to)| (*from..*to).contains(&number));
    if let Some(number) = there.iter().find(|number| is_lost(**number)) {
        panic!("{number} was refused, and is there: {}", about());
    }
    let (Some(first), true) = (there.first(), is_exact) else { return };
    let mut expected = (*first..next).filter(|number| !is_lost(*number));
    let mut there = there.iter().copied();
    loop {
        let pair = (expected.next(), there.next());
        assert_eq!(pair.0, pair.1, "{}", about());
        if pair == (None, None) {
            return;
        }
    }
}
