//! The users and groups of another machine, by its own files: the database of this one knows
//! others under the same names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::fs::os::Tree;

/// The longest list that is read.
const LIST_MAX: usize = 16 << 20;

/// Users and groups.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    users: Vec<User>,
    groups: Vec<(String, u32)>,
}

#[derive(Clone, Debug)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
}

impl Accounts {
    /// Those in `/etc/passwd` and `/etc/group` of a tree; none where these cannot be read.
    #[must_use]
    pub fn of(tree: &Tree) -> Self {
        let read = |path: &str| tree.read_small(Path::new(path), LIST_MAX).unwrap_or_default();
        Self::parse(&read("/etc/passwd"), &read("/etc/group"))
    }

    fn parse(passwd: &[u8], group: &[u8]) -> Self {
        let user = |line: Vec<&[u8]>| {
            let [name, _, uid, gid, _, home, ..] = line.as_slice() else { return None };
            Some(User {
                name: text(name)?,
                uid: number(uid)?,
                gid: number(gid)?,
                home: Path::new(OsStr::from_bytes(home)).to_owned(),
            })
        };
        let group_of = |line: Vec<&[u8]>| match line.as_slice() {
            [name, _, gid, ..] => Some((text(name)?, number(gid)?)),
            _ => None,
        };
        let users = lines(passwd).filter_map(user).collect();
        let groups = lines(group).filter_map(group_of).collect();
        Self { users, groups }
    }

    /// The id of a user.
    #[must_use]
    pub fn user_id(&self, name: &str) -> Option<u32> {
        self.users.iter().find(|user| user.name == name).map(|user| user.uid)
    }

    /// The group that a user of this name or id starts with.
    #[must_use]
    pub fn first_group_of(&self, user: &str) -> Option<u32> {
        let uid: Option<u32> = user.parse().ok();
        let is_it = |known: &&User| uid.map_or(known.name == user, |uid| known.uid == uid);
        self.users.iter().find(is_it).map(|user| user.gid)
    }

    /// The id of a group.
    #[must_use]
    pub fn group_id(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|(known, _)| known == name).map(|(_, gid)| *gid)
    }

    /// Whether there is a user of this id.
    #[must_use]
    pub fn has_user(&self, uid: u32) -> bool {
        self.users.iter().any(|user| user.uid == uid)
    }

    /// Whether there is a group of this id.
    #[must_use]
    pub fn has_group(&self, gid: u32) -> bool {
        self.groups.iter().any(|(_, known)| *known == gid)
    }

    /// The home folder of a user.
    #[must_use]
    pub fn home(&self, name: &str) -> Option<PathBuf> {
        self.users.iter().find(|user| user.name == name).map(|user| user.home.clone())
    }

    /// The home folder of the user with this id.
    #[must_use]
    pub fn home_of(&self, uid: u32) -> Option<PathBuf> {
        self.users.iter().find(|user| user.uid == uid).map(|user| user.home.clone())
    }

    /// The homes of all users.
    pub fn homes(&self) -> impl Iterator<Item = &Path> {
        self.users.iter().map(|user| user.home.as_path()).filter(|home| home.is_absolute())
    }
}

/// The fields of each line.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    bytes.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b':').collect())
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn number(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_those_of_the_lists() {
        let passwd =
            b"root:x:0:0:root:/root:/bin/sh\n\nwww:x:70:71::/var/www:/x\nbad:x:1\n+::::::\n";
        let accounts = Accounts::parse(passwd, b"root:x:0:\nweb:x:71:www\nbad\n");
        assert_eq!((accounts.user_id("www"), accounts.group_id("web")), (Some(70), Some(71)));
        assert_eq!(accounts.first_group_of("www"), accounts.first_group_of("70"));
        assert_eq!((accounts.user_id("bad"), accounts.group_id("www")), (None, None));
        assert_eq!(accounts.home_of(70), accounts.home("www"));
        assert!(accounts.has_user(0) && !accounts.has_user(71) && accounts.has_group(71));
        let homes: Vec<_> = accounts.homes().collect();
        assert_eq!(homes, [Path::new("/root"), Path::new("/var/www")]);
    }
}
