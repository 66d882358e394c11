//! What becomes of each archive of a log, in little room.

use super::{Reason, Why};

/// What becomes of one archive. A plan says it of each, so that "forgotten" is not a possible
/// answer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict<'a> {
    /// It stays (perhaps renamed or compressed).
    Keep(Why),
    /// It goes.
    Remove(&'a Reason),
}

/// What becomes of each archive of one log.
///
/// Most archives stay, and there may be a million of them: one that stays takes one byte.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// Why each stays, if it stays.
    kept: Vec<Why>,
    /// Those that go with their places, the last of them first: archives go oldest first, so
    /// that almost all are put at the end.
    removed: Vec<(usize, Reason)>,
}

impl Verdicts {
    /// How many archives the log has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether the log has no archive.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// What becomes of the archive at this place of [`Log::archives`](crate::inventory::Log::archives);
    /// none if there is no such archive.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Verdict<'_>> {
        self.kept.get(index).map(|why| self.verdict(index, *why))
    }

    /// One for each archive, in the order of [`Log::archives`](crate::inventory::Log::archives):
    /// newest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Verdict<'_>> + ExactSizeIterator {
        self.kept.iter().enumerate().map(|(index, why)| self.verdict(index, *why))
    }

    fn verdict(&self, index: usize, why: Why) -> Verdict<'_> {
        match self.find(index).ok().and_then(|place| self.removed.get(place)) {
            Some((_, reason)) => Verdict::Remove(reason),
            None => Verdict::Keep(why),
        }
    }

    /// Where the one at `index` is among those that go, or would be.
    fn find(&self, index: usize) -> Result<usize, usize> {
        self.removed.binary_search_by(|(other, _)| index.cmp(other))
    }

    /// The archive at `index` goes. Nothing changes if there is none.
    pub(super) fn remove(&mut self, index: usize, reason: Reason) {
        if index >= self.kept.len() {
            return;
        }
        match self.find(index) {
            Ok(place) => {
                if let Some(slot) = self.removed.get_mut(place) {
                    slot.1 = reason;
                }
            }
            Err(place) => self.removed.insert(place, (index, reason)),
        }
    }

    /// None of them goes, whatever was decided.
    pub(super) fn keep_all(&mut self) {
        self.removed.clear();
    }

    /// One more archive, which stays.
    pub(super) fn push(&mut self, why: Why) {
        self.kept.push(why);
    }

    /// Only the first so many.
    pub(super) fn truncate(&mut self, len: usize) {
        self.kept.truncate(len);
        self.removed.retain(|(index, _)| *index < len);
    }

    /// Of those that stay because of `old` it is said that it is because of `new`.
    pub(super) fn replace(&mut self, old: Why, new: Why) {
        for why in self.kept.iter_mut().filter(|why| **why == old) {
            *why = new;
        }
    }

    /// It stays, whatever was decided.
    #[cfg(test)]
    pub(super) fn keep(&mut self, index: usize, why: Why) {
        self.removed.retain(|(other, _)| *other != index);
        self.kept[index] = why;
    }

    /// Gives back room that is not needed.
    pub(super) fn shrink(&mut self) {
        self.kept.shrink_to_fit();
        self.removed.shrink_to_fit();
    }
}

/// Of archives that stay all.
impl FromIterator<Why> for Verdicts {
    fn from_iter<I: IntoIterator<Item = Why>>(kept: I) -> Self {
        Self { kept: kept.into_iter().collect(), removed: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Verdicts {
        [Why::WithinLimits, Why::HardLinked, Why::WithinLimits].into_iter().collect()
    }

    fn going(verdicts: &Verdicts) -> Vec<usize> {
        let goes = |(index, verdict)| matches!(verdict, Verdict::Remove(_)).then_some(index);
        verdicts.iter().enumerate().filter_map(goes).collect()
    }

    #[test]
    fn each_goes_for_its_own_reason_in_whatever_order_that_is_decided() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
            let mut verdicts = three();
            let reason = |index| Reason::MaxFiles { files: index as u64, limit: 1 };
            for (done, index) in order.into_iter().enumerate() {
                assert_eq!(going(&verdicts).len(), done);
                verdicts.remove(index, reason(index));
            }
            for index in 0..3 {
                assert_eq!(verdicts.get(index), Some(Verdict::Remove(&reason(index))));
            }
        }
    }

    #[test]
    fn the_last_reason_counts_and_one_that_is_not_there_does_not_go() {
        let mut verdicts = three();
        verdicts.remove(1, Reason::Duplicate);
        verdicts.remove(1, Reason::MakeWay);
        verdicts.remove(3, Reason::MakeWay);
        assert_eq!(verdicts.get(1), Some(Verdict::Remove(&Reason::MakeWay)));
        assert_eq!(verdicts.get(3), None);
        assert_eq!((going(&verdicts), verdicts.len()), (vec![1], 3));
        verdicts.push(Why::WithinLimits);
        assert_eq!(going(&verdicts), [1]);
    }

    #[test]
    fn what_is_kept_after_all_stays_for_what_it_stayed_before() {
        let mut verdicts = three();
        verdicts.remove(1, Reason::Duplicate);
        verdicts.keep_all();
        verdicts.replace(Why::WithinLimits, Why::FairShare);
        let expected = [Why::FairShare, Why::HardLinked, Why::FairShare].map(Verdict::Keep);
        assert!(verdicts.iter().eq(expected));
    }

    #[test]
    fn what_is_cut_off_does_not_go_when_others_take_its_place() {
        let mut verdicts = three();
        verdicts.remove(2, Reason::Duplicate);
        verdicts.truncate(2);
        verdicts.push(Why::NoFile);
        assert_eq!(verdicts.get(2), Some(Verdict::Keep(Why::NoFile)));
    }

    #[test]
    fn one_that_stays_takes_a_byte() {
        assert_eq!(size_of::<Why>(), 1);
    }
}
