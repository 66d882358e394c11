//! The ballast: a file that only keeps room, to be given up first when a disk is full.
//!
//! What it is called, by what it is known, and when there is room for it. Data and arithmetic;
//! whether it goes or is made is decided by [`plan`](crate::plan), and by the appender.
//!
//! ```text
//! /var/log/player/.logquota/          0700, ours
//! /var/log/player/.logquota/ballast   0600, begins with a sentence that says what it is
//! ```

use crate::stamp::{Kind, Meta};
use crate::units::Bytes;

/// The folder that it is in, beside the logs: of ours alone, so that nobody else puts a file there.
pub const DIR: &str = ".logquota";

/// Its name there.
pub const NAME: &str = "ballast";

/// How it begins, for whoever finds it, and as the proof that it is ours.
pub const TEXT: &[u8] = b"This file of logquota only keeps room on the disk. It may be deleted.\n";

/// So much of it tells what it is and who asks for it.
pub(crate) const HEAD_LEN: usize = TEXT.len() + 64;

/// Who asks for one, as its second line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keeper {
    /// A configuration: a run makes it smaller when less is asked for, and deletes it when none is.
    Configuration,
    /// A program, for its own log: runs leave its size to that.
    Program,
}

impl Keeper {
    const ALL: [Self; 2] = [Self::Configuration, Self::Program];

    /// All that is written in it.
    #[must_use]
    pub fn text(self) -> Vec<u8> {
        let line: &[u8] = match self {
            Self::Configuration => b"A configuration of logquota asks for it.\n",
            Self::Program => b"A program asks for it, for its own log.\n",
        };
        [TEXT, line].concat()
    }

    /// Whose it is that begins so. Where that is not known, nobody else may decide.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        let is_asked_by = |keeper: &Self| head.starts_with(&keeper.text());
        Self::ALL.into_iter().find(is_asked_by).unwrap_or(Self::Program)
    }
}

/// What part of a ballast must be free where no `reserve` says how much, and how much more than
/// it needs must be free before it is made: otherwise it would come and go.
const PART: u64 = 8;

/// How large a ballast shall be, and how much must be free besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its size.
    pub size: Bytes,
    /// With less free than this, it is given up.
    pub floor: Bytes,
}

impl Rule {
    /// With what a `reserve` says, or else an eighth of its size.
    #[must_use]
    pub fn new(size: Bytes, reserve: Option<Bytes>) -> Self {
        let part = Bytes::new(size.get() / PART);
        Self { size, floor: reserve.unwrap_or(part) }
    }

    /// What must be left free when it is made: an eighth of its size more than where it is given
    /// up.
    #[must_use]
    pub fn left(&self) -> Bytes {
        self.floor.plus(Bytes::new(self.size.get() / PART))
    }

    /// Whether there is room to make it.
    #[must_use]
    pub fn has_room(&self, free: Bytes) -> bool {
        free >= self.left().plus(self.size)
    }
}

/// Whether nobody but the user `uid` can have put a file into this folder, or can have changed this
/// file.
///
/// # Errors
///
/// What is wrong, in words.
pub fn is_private(meta: &Meta, kind: Kind, uid: u32) -> Result<(), &'static str> {
    if meta.kind != kind {
        return Err(match kind {
            Kind::Dir => "it is no folder",
            _ => "it is no regular file",
        });
    }
    if meta.uid != uid {
        return Err("it belongs to somebody else");
    }
    if meta.mode & 0o077 != 0 {
        return Err("others may use it");
    }
    if kind == Kind::File && meta.stamp.nlink > 1 {
        return Err("it has other names");
    }
    Ok(())
}

/// Whether a file of this length that begins with `head` is one: also one whose making was
/// interrupted before the sentence was on the disk, of which there is nothing, or zeros.
#[must_use]
pub fn is_ours(head: &[u8], len: u64) -> bool {
    let is_torn = |keeper: Keeper| {
        let text = keeper.text();
        let mut bytes = head.iter().zip(&text);
        usize::try_from(len).is_ok_and(|len| len <= text.len())
            && bytes.all(|(found, wanted)| found == wanted || *found == 0)
    };
    head.starts_with(TEXT) || Keeper::ALL.into_iter().any(is_torn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_come_and_go() {
        for reserve in [None, Some(Bytes::ZERO), Some(Bytes::kib(3)), Some(Bytes::mib(900))] {
            let rule = Rule::new(Bytes::mib(64), reserve);
            // Just given up, with as much free as that can be.
            let free = rule.floor.minus(Bytes::new(1)).plus(rule.size);
            assert!(!rule.has_room(free), "{rule:?}");
            // Just made, with as little free as that can be.
            let least = rule.left().plus(rule.size);
            assert!(rule.has_room(least) && least.minus(rule.size) >= rule.floor, "{rule:?}");
        }
    }

    #[test]
    fn h57_only_what_begins_with_our_sentence_is_ours() {
        let long = 1 << 20;
        assert!(is_ours(TEXT, long));
        assert!(is_ours(b"", 0) && is_ours(b"This file", 9) && is_ours(&[0; 9], 9));
        assert!(!is_ours(b"", long) && !is_ours(&[0; 20], long) && !is_ours(b"This file", long));
        assert!(!is_ours(b"that file", 9));
    }

    #[test]
    fn who_asks_for_it_is_in_it_and_otherwise_nobody_else_decides() {
        for keeper in Keeper::ALL {
            let text = keeper.text();
            assert!(text.starts_with(TEXT) && text.len() <= HEAD_LEN);
            assert_eq!(Keeper::of(&[&text[..], &[0; 9]].concat()), keeper);
            for torn in 0..text.len() {
                assert!(is_ours(&text[..torn], torn as u64), "{keeper:?} {torn}");
                assert_eq!(Keeper::of(&text[..torn]), Keeper::Program);
            }
        }
    }
}
