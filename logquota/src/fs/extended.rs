//! What a file has besides owner and mode, as data: its access control list (acl(5)), its
//! SELinux label, and the attributes that programs give it (xattr(7)).

use std::ffi::OsString;

/// The only version of the format there is.
const VERSION: u32 = 2;

/// Whose permissions an entry of an access control list holds.
mod tag {
    pub(super) const OWNER: u16 = 0x01;
    pub(super) const USER: u16 = 0x02;
    pub(super) const GROUP: u16 = 0x04;
    pub(super) const NAMED_GROUP: u16 = 0x08;
    pub(super) const MASK: u16 = 0x10;
    pub(super) const OTHER: u16 = 0x20;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    tag: u16,
    perm: u16,
    id: u32,
}

/// An access control list. With one, the group's bits of a file's mode are the list's mask: the
/// most that its owning group, and users and groups that it names, may do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acl(Vec<Entry>);

impl Acl {
    /// From the value of the attribute `system.posix_acl_access`; `None` if it is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk()?;
        let (entries, left) = rest.as_chunks::<8>();
        if u32::from_le_bytes(*version) != VERSION || !left.is_empty() {
            return None;
        }
        let entry = |&[a, b, c, d, e, f, g, h]: &[u8; 8]| Entry {
            tag: u16::from_le_bytes([a, b]),
            perm: u16::from_le_bytes([c, d]),
            id: u32::from_le_bytes([e, f, g, h]),
        };
        Some(Self(entries.iter().map(entry).collect()))
    }

    /// The value of the attribute.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for entry in &self.0 {
            bytes.extend(entry.tag.to_le_bytes());
            bytes.extend(entry.perm.to_le_bytes());
            bytes.extend(entry.id.to_le_bytes());
        }
        bytes
    }

    fn perm(&self, tag: u16) -> Option<u16> {
        self.0.iter().find(|entry| entry.tag == tag).map(|entry| entry.perm & 0o7)
    }

    /// What it is after `chmod(2)`, so that a file can be given both at once.
    #[must_use]
    pub fn with_mode(mut self, mode: u32) -> Self {
        let bits = |shift: u32| u16::try_from(mode >> shift & 0o7).unwrap_or(0);
        let group = if self.perm(tag::MASK).is_some() { tag::MASK } else { tag::GROUP };
        for entry in &mut self.0 {
            match entry.tag {
                tag::OWNER => entry.perm = bits(6),
                tag::OTHER => entry.perm = bits(0),
                found if found == group => entry.perm = bits(3),
                _ => {}
            }
        }
        self
    }

    /// The same for a file that could not be given to the group that was meant: its owning
    /// group may do no more than everybody else.
    #[must_use]
    pub fn for_another_group(mut self) -> Self {
        let other = self.perm(tag::OTHER).unwrap_or(0);
        for entry in self.0.iter_mut().filter(|entry| entry.tag == tag::GROUP) {
            entry.perm &= other;
        }
        self
    }

    /// The mode for a file that shall have `mode` and this list and cannot have the list: nobody
    /// may do more than with it. So the group's bits are not the mask, and who was named to be
    /// allowed less than others takes that from them.
    #[must_use]
    pub fn mode_without_it(&self, mode: u32) -> u32 {
        let mask = self.perm(tag::MASK).unwrap_or(0o7);
        let mut group = self.perm(tag::GROUP).unwrap_or(0) & mask;
        let mut other = 0o7;
        for entry in &self.0 {
            match entry.tag {
                tag::USER => {
                    group &= entry.perm & mask;
                    other &= entry.perm & mask;
                }
                tag::NAMED_GROUP => other &= entry.perm & mask,
                _ => {}
            }
        }
        mode & (!0o077 | u32::from(group) << 3 | u32::from(other))
    }
}

/// Attributes of a file that are neither owner, mode, times nor access control list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Extended {
    /// The SELinux label (`security.selinux`).
    pub label: Option<Vec<u8>>,
    /// Names and values of those that programs (`user.`) or the administrator's programs
    /// (`trusted.`) have set.
    pub others: Vec<(OsString, Vec<u8>)>,
}

impl Extended {
    /// What a file gets that stands for another but has other content.
    #[must_use]
    pub fn label_only(self) -> Self {
        Self { label: self.label, others: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: u32 = u32::MAX;

    fn acl(entries: &[(u16, u16, u32)]) -> Acl {
        Acl(entries.iter().map(|&(tag, perm, id)| Entry { tag, perm, id }).collect())
    }

    /// `u::rw,u:7:USER,g::GROUP,m::MASK,o::OTHER`
    fn list(user: u16, group: u16, mask: u16, other: u16) -> Acl {
        acl(&[
            (tag::OWNER, 6, NOBODY),
            (tag::USER, user, 7),
            (tag::GROUP, group, NOBODY),
            (tag::MASK, mask, NOBODY),
            (tag::OTHER, other, NOBODY),
        ])
    }

    #[test]
    fn a_list_is_read_and_written_as_the_kernel_has_it() {
        let bytes = [
            &[2u8, 0, 0, 0][..],
            &[1, 0, 6, 0, 255, 255, 255, 255],
            &[2, 0, 4, 0, 0xfe, 0xff, 0, 0],
            &[4, 0, 0, 0, 255, 255, 255, 255],
            &[16, 0, 4, 0, 255, 255, 255, 255],
            &[32, 0, 0, 0, 255, 255, 255, 255],
        ]
        .concat();
        let found = Acl::from_bytes(&bytes).expect("a list");
        assert_eq!(found.0.len(), 5);
        assert_eq!(found.0[1], Entry { tag: tag::USER, perm: 4, id: 65534 });
        assert_eq!(found.to_bytes(), bytes);
        for bad in [&bytes[..3], &bytes[..43], &[3, 0, 0, 0], &[]] {
            assert_eq!(Acl::from_bytes(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_mode_changes_the_mask_and_not_the_group() {
        assert_eq!(list(6, 4, 6, 0).with_mode(0o4644), list(6, 4, 4, 4));
        let minimal = |group| acl(&[(tag::OWNER, 6, NOBODY), (tag::GROUP, group, NOBODY)]);
        assert_eq!(minimal(4).with_mode(0o600), minimal(0));
    }

    #[test]
    fn a_group_that_was_not_meant_may_do_no_more_than_others() {
        assert_eq!(list(6, 6, 6, 4).for_another_group(), list(6, 4, 6, 4));
        assert_eq!(list(6, 4, 6, 6).for_another_group(), list(6, 4, 6, 6));
    }

    #[test]
    fn without_its_list_a_file_is_no_wider() {
        for (list, mode, expected) in [
            // The group's bits were only the mask for the user.
            (list(6, 0, 6, 0), 0o660, 0o600),
            (list(4, 4, 4, 0), 0o640, 0o640),
            (list(6, 6, 4, 0), 0o640, 0o640),
            // A user was shut out of what everybody may read.
            (list(0, 4, 4, 4), 0o644, 0o600),
            (acl(&[(tag::GROUP, 4, NOBODY), (tag::NAMED_GROUP, 0, 9)]), 0o644, 0o640),
        ] {
            assert_eq!(list.mode_without_it(mode), expected, "{list:?}");
        }
    }
}
