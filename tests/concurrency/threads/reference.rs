//! Beside a slow, obvious queue: the same calls, the same answers.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::WhenFull;
use super::queue::{Pushed, Queue, Taken};

#[derive(Clone, Debug)]
enum Call {
    Push(usize),
    Take(usize),
    Done,
}

/// Lists of whole records.
#[derive(Default)]
struct Obvious {
    queued: VecDeque<Vec<u8>>,
    in_hand: Vec<Vec<u8>>,
}

fn total<'a>(records: impl IntoIterator<Item = &'a Vec<u8>>) -> usize {
    records.into_iter().map(Vec::len).sum()
}

impl Obvious {
    fn push(
        &mut self,
        record: Vec<u8>,
        records: usize,
        bytes: usize,
        drops_oldest: bool,
    ) -> Pushed {
        if record.len() > bytes {
            return Pushed::TooLarge;
        }
        let mut dropped = Vec::new();
        while self.queued.len() == records || total(&self.queued) + record.len() > bytes {
            if !drops_oldest {
                return Pushed::Full;
            }
            dropped.extend(self.queued.pop_front());
        }
        self.queued.push_back(record);
        match dropped.len() as u64 {
            0 => Pushed::Accepted,
            records => Pushed::AcceptedAfterDropping { records, bytes: total(&dropped) as u64 },
        }
    }

    fn take(&mut self, most: usize) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        while let Some(next) = self.queued.front()
            && (taken.is_empty() || next.len() <= most.saturating_sub(total(&taken)))
        {
            taken.extend(self.queued.pop_front());
        }
        self.in_hand.extend(taken.iter().cloned());
        taken
    }
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        6 => (0..40_usize).prop_map(Call::Push),
        2 => (0..400_usize).prop_map(Call::Push),
        1 => (0..3_000_usize).prop_map(Call::Push),
        2 => (0..200_usize).prop_map(Call::Take),
        1 => (0..3_000_usize).prop_map(Call::Take),
        1 => Just(Call::Done),
    ];
    prop::collection::vec(call, 1..200)
}

proptest! {
    #[test]
    fn the_queue_answers_as_an_obvious_one_does(
        calls in calls(),
        records in 1..60_usize,
        bytes in prop_oneof![1..300_usize, 300..5_000_usize],
        drops_oldest: bool,
    ) {
        let when_full = if drops_oldest { WhenFull::DropOldest } else { WhenFull::DropNewest };
        let queue = Queue::new(records, bytes, when_full).expect("so little memory");
        let mut obvious = Obvious::default();
        for (number, call) in calls.into_iter().enumerate() {
            match call {
                Call::Push(len) => {
                    let record: Vec<u8> = (0..len).map(|at| (number * 31 + at) as u8).collect();
                    let pushed = queue.push(&record);
                    prop_assert_eq!(pushed, obvious.push(record, records, bytes, drops_oldest));
                }
                Call::Take(most) => {
                    let (mut out, mut lengths) = (Vec::new(), Vec::new());
                    let taken = queue.take(&mut out, &mut lengths, most, Duration::ZERO);
                    let expected = obvious.take(most);
                    prop_assert_eq!(taken, match (expected.len() as u64, total(&expected) as u64) {
                        (0, _) => Taken::TimedOut,
                        (records, bytes) => Taken::Records { records, bytes },
                    });
                    let expected_lengths: Vec<u32> =
                        expected.iter().map(|record| record.len() as u32).collect();
                    prop_assert_eq!(lengths, expected_lengths);
                    prop_assert_eq!(out, expected.concat());
                }
                Call::Done => {
                    queue.done();
                    obvious.in_hand.clear();
                }
            }
            let records = obvious.queued.len() + obvious.in_hand.len();
            let bytes = total(&obvious.queued) + total(&obvious.in_hand);
            prop_assert_eq!(queue.waiting(), (records as u64, bytes as u64));
        }
    }
}
