//! What happens in a case, one thing after the other.

use logquota::fs::sim::{Fault, Times, Unsynced};

use crate::setup::pick;

/// Somebody else at the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meddle {
    /// `mv app.log /elsewhere`
    MoveAway,
    /// `mv app.log app.log.old`, which is nobody's name
    MoveAside,
    /// `mv app.log app.log.1`
    MoveToArchive,
    Delete,
    /// `: > app.log`
    Truncate,
    /// `mv other app.log`
    Replace,
    /// `rm app.log; ln -s /elsewhere app.log`
    Link,
    /// `echo foreign >> app.log`
    Append(u16),
    /// The oldest archive, or the newest.
    DeleteArchive {
        newest: bool,
    },
}

/// One thing that happens. Lengths are in eighths of a segment, plus some bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Write(Len),
    Burst(u8, Len),
    Batch(u8, Len),
    Flush,
    Sync,
    Rotate,
    Reopen,
    Maintain,
    /// Time passes.
    Pass(u32),
    /// The clock is set.
    Jump(i64),
    /// Summer time begins or ends.
    Shift(i32),
    FillDisk,
    FreeDisk,
    Meddle(Meddle),
    /// The same in the middle of a later call.
    MeddleLater(u8, Meddle),
    OpenAnother,
    Close,
    Restart,
    /// A run of the program with its own policy.
    Run {
        compress: bool,
    },
    Fault(Fault, u8, Times),
    Heal,
    Crash(u8, Unsynced),
}

/// The length of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Len {
    pub(crate) eighths: u64,
    pub(crate) bytes: i64,
}

impl Len {
    const fn new(eighths: u64, bytes: i64) -> Self {
        Self { eighths, bytes }
    }

    pub(crate) fn of(self, segment: u64) -> usize {
        let len = (segment / 8 * self.eighths).saturating_add_signed(self.bytes);
        usize::try_from(len).unwrap_or(usize::MAX)
    }
}

const SMALL: [Len; 4] = [Len::new(0, 60), Len::new(0, 150), Len::new(0, 22), Len::new(0, 500)];

const ANY: [Len; 12] = [
    Len::new(0, 60),
    Len::new(0, 150),
    Len::new(1, 0),
    Len::new(3, 1),
    Len::new(8, -1),
    Len::new(8, 0),
    Len::new(8, 1),
    Len::new(16, 0),
    Len::new(24, 0),
    Len::new(9, 0),
    Len::new(5, 0),
    Len::new(0, 22),
];

const MEDDLE: [Meddle; 10] = [
    Meddle::MoveAway,
    Meddle::Delete,
    Meddle::Truncate,
    Meddle::Replace,
    Meddle::Append(40),
    Meddle::DeleteArchive { newest: false },
    Meddle::DeleteArchive { newest: true },
    Meddle::MoveAside,
    Meddle::MoveToArchive,
    Meddle::Append(5000),
];

const FAULTS: [Fault; 8] = [
    Fault::NoSpace,
    Fault::Quota,
    Fault::Io,
    Fault::ReadOnly,
    Fault::Access,
    Fault::Short,
    Fault::Interrupted,
    Fault::TooManyOpen,
];

/// Which kinds of trouble a case may have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trouble {
    pub(crate) faults: bool,
    pub(crate) others: bool,
    pub(crate) crashes: bool,
    pub(crate) company: bool,
}

impl Op {
    /// The operation that these bytes stand for.
    pub(crate) fn of(raw: &[u8; 4], trouble: Trouble) -> Self {
        let [kind, a, b, c] = *raw;
        let quiet = match kind % 32 {
            0..=7 => Self::Write(pick(a, &ANY)),
            8..=13 => Self::Burst(b % 60, pick(a, &SMALL)),
            14 => Self::Batch(b % 30, pick(a, &SMALL)),
            15 => Self::Flush,
            16 => Self::Sync,
            17 => Self::Rotate,
            18 => Self::Reopen,
            19 | 20 => Self::Maintain,
            21 => Self::Pass(pick(a, &[1, 61, 3600, 86_400, 40 * 86_400])),
            22 => Self::Jump(pick(a, &[3600, -3600, -86_400, 86_400, 10 * 366 * 86_400, -1])),
            23 => Self::Shift(pick(a, &[1, -1, 2])),
            24 => Self::FillDisk,
            25 | 26 => Self::FreeDisk,
            27 => Self::Restart,
            _ => Self::Burst(b % 20, pick(a, &ANY)),
        };
        match kind / 32 {
            1 if trouble.faults && c % 3 > 0 => {
                let times = pick(b, &[Times::Once, Times::Forever]);
                Self::Fault(pick(a, &FAULTS), c % 24, times)
            }
            1 if trouble.faults => Self::Heal,
            2 if trouble.others && c % 4 > 0 => match c % 8 {
                1 => Self::Meddle(Meddle::Link),
                2..=4 => Self::MeddleLater(b % 30, pick(a, &MEDDLE)),
                _ => Self::Meddle(pick(a, &MEDDLE)),
            },
            2 if trouble.others => Self::Run { compress: a % 4 == 3 },
            3 if trouble.crashes && c % 4 == 0 => Self::Crash(b % 40, pick(a, &Unsynced::ALL)),
            4 if trouble.company && c % 2 == 0 => pick(a, &[Self::OpenAnother, Self::Close]),
            _ => quiet,
        }
    }
}
