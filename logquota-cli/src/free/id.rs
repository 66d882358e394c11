//! The id of a plan that was shown: short enough to be typed, and enough to say what differs.

use std::str::FromStr;

use logquota::report::Bonds;

/// The id of a plan that was shown: the beginning of its digest, something of each thing that it
/// is bound to, and when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanId {
    pub(crate) digest: String,
    bonds: String,
    /// Seconds since the epoch.
    pub(crate) created: i64,
}

/// What a plan is bound to, besides its files and the free space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bond {
    Machine,
    Boot,
    Call,
    Folders,
    Policy,
}

/// So many digits tell a plan from every other.
const DIGITS: usize = 12;

/// In this order an id has them, and the first that differs is named: those behind it may differ
/// only for that.
const BONDS: [Bond; 5] = [Bond::Machine, Bond::Boot, Bond::Call, Bond::Folders, Bond::Policy];

/// So many characters for each: what differs goes unnamed in one case of a thousand, and is
/// refused all the same.
const BOND_LEN: usize = 2;

/// 32 of them, so that two say 10 bits; without those that are taken for others.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A time of this century; one that was cut short would only seem to have expired.
const TIME_DIGITS: usize = 8;

impl PlanId {
    pub(crate) fn new(digest: &str, bonds: &Bonds, created: i64) -> Self {
        let Bonds { machine, boot, folders, policy, source } = bonds;
        let bonds = [machine, boot, source, folders, policy].map(|digest| short(digest)).concat();
        Self { digest: digest.chars().take(DIGITS).collect(), bonds, created }
    }

    /// The first thing that is another one here; none if it is something of the files.
    pub(crate) fn differs(&self, here: &Self) -> Option<Bond> {
        let chunks = |id: &Self| -> Vec<Vec<u8>> {
            id.bonds.as_bytes().chunks(BOND_LEN).map(<[u8]>::to_vec).collect()
        };
        let mut pairs = BONDS.into_iter().zip(chunks(self).into_iter().zip(chunks(here)));
        pairs.find(|(_, (was, is))| was != is).map(|(bond, _)| bond)
    }
}

/// The first bits of a digest of hexadecimal digits.
fn short(digest: &str) -> String {
    let mut bits = u64::from_str_radix(digest.get(..16).unwrap_or(digest), 16).unwrap_or_default();
    let one = |_| {
        let index = usize::try_from(bits >> 59).unwrap_or_default();
        bits <<= 5;
        ALPHABET.get(index).copied().map_or('0', char::from)
    };
    (0..BOND_LEN).map(one).collect()
}

impl Bond {
    /// After "was refused: ".
    pub(crate) const fn why(self) -> &'static str {
        match self {
            Self::Machine => "it was made on another machine, or for the disk of another one",
            Self::Boot => "the machine was restarted since it was made",
            Self::Folders => {
                "a folder of logs is not the one that it was (its device, inode or mount is \
                 another one), or one came or went"
            }
            Self::Policy => "the configuration is another one",
            Self::Call => {
                "this call asks for something else: its amount, its options or its configuration \
                 files are not those that the id was shown for"
            }
        }
    }
}

impl std::fmt::Display for PlanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{:x}", self.digest, self.bonds, self.created)
    }
}

impl FromStr for PlanId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bonds_len = BONDS.len() * BOND_LEN;
        let wrong = || {
            format!(
                "this is no whole id: it has {DIGITS} digits, `-`, {bonds_len} letters or digits, \
                 `-`, and {TIME_DIGITS} digits, as `logquota free` has shown it; copy all of it"
            )
        };
        let text = text.to_ascii_lowercase();
        let mut parts = text.split('-');
        let (Some(digest), Some(bonds), Some(time), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
        let is_whole = (DIGITS..=32).contains(&digest.len())
            && bonds.len() == bonds_len
            && time.len() >= TIME_DIGITS;
        let has_bonds = bonds.bytes().all(|byte| ALPHABET.contains(&byte));
        if !is_whole || !has_bonds || !is_hex(digest) || !is_hex(time) {
            return Err(wrong());
        }
        let created = i64::from_str_radix(time, 16).map_err(|_| wrong())?;
        Ok(Self { digest: digest.to_owned(), bonds: bonds.to_owned(), created })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bonds() -> Bonds {
        let digest = |text: &str| text.repeat(8);
        Bonds {
            machine: digest("a1"),
            boot: digest("b2"),
            folders: digest("c3"),
            policy: digest("d4"),
            source: digest("e5"),
        }
    }

    #[test]
    fn an_id_is_read_as_it_is_written_and_only_whole() {
        let digest = "0123456789abcdef0123456789abcdef";
        let id = PlanId::new(digest, &bonds(), 1_795_286_496);
        let whole = "0123456789ab-m6pawqrftk-6b01e5e0";
        assert_eq!(id.to_string(), whole);
        assert_eq!(whole.parse().as_ref(), Ok(&id));
        assert_eq!(whole.to_ascii_uppercase().parse().as_ref(), Ok(&id));
        for len in 0..whole.len() {
            assert!(whole[..len].parse::<PlanId>().is_err(), "{len}");
        }
        for wrong in [
            "0123456789ab-6b01e5e0",
            "0123456789a-m6pawqrftq-6b01e5e0",
            "0123456789ax-m6pawqrftq-6b01e5e0",
            "0123456789ab-m6pawqrft-6b01e5e0",
            "0123456789ab-m6pawqrftu-6b01e5e0",
            "0123456789ab-m6pawqrftq-6b01e5e0x",
            "0123456789ab-m6pawqrftq-6b01e5e0-",
        ] {
            assert!(wrong.parse::<PlanId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn h23_what_differs_is_told_by_the_id_alone() {
        let id = |bonds: &Bonds| PlanId::new("0123456789abcdef", bonds, 1_795_286_496);
        let other = || "0".repeat(16);
        let was = id(&bonds());
        assert_eq!(was.differs(&was), None);
        for (bonds, bond) in [
            (Bonds { machine: other(), ..bonds() }, Bond::Machine),
            (Bonds { boot: other(), ..bonds() }, Bond::Boot),
            (Bonds { folders: other(), ..bonds() }, Bond::Folders),
            (Bonds { policy: other(), ..bonds() }, Bond::Policy),
            (Bonds { source: other(), ..bonds() }, Bond::Call),
            (Bonds { boot: other(), policy: other(), ..bonds() }, Bond::Boot),
        ] {
            assert_eq!(was.differs(&id(&bonds)), Some(bond));
        }
    }
}
