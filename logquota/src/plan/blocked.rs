//! Why a log is left alone, for people.

use crate::inventory::Blocked;

/// In words, with what to do.
pub(super) fn why(blocked: &Blocked) -> String {
    match blocked {
        Blocked::Symlink => "is a symbolic link and was left alone".to_owned(),
        Blocked::Special => "is not a regular file and was left alone".to_owned(),
        Blocked::HardLinks { names } => {
            format!("has {names} names (hard links) and was left alone; `allowhardlink` permits it")
        }
        Blocked::InsecureParent { why } => why.clone(),
        Blocked::Missing => "does not exist; `missingok` permits that".to_owned(),
        Blocked::Unreadable { why } => format!("could not be looked at: {why}"),
    }
}
