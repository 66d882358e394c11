//! Which log a name is, in little memory: four bytes for each name of a folder.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use super::walk::Folder;

/// Logs by folder and name.
#[derive(Default)]
pub(super) struct Index {
    /// For each folder and name there: the log it is, counted from 1; 0 if it is none.
    by_name: Vec<Vec<u32>>,
    /// Logs whose name is not there.
    absent: HashMap<(usize, OsString), usize>,
}

impl Index {
    /// An empty one, for all names in these folders.
    pub(super) fn of(folders: &[Folder]) -> Self {
        let by_name = folders.iter().map(|folder| vec![0; folder.names.len()]).collect();
        Self { by_name, absent: HashMap::new() }
    }

    /// The log of that name in that folder.
    pub(super) fn get(&self, folders: &[Folder], (folder, name): (usize, &OsStr)) -> Option<usize> {
        let place = folders.get(folder).and_then(|folder| folder.names.position(name));
        let number = place.and_then(|at| self.by_name.get(folder)?.get(at));
        match number.and_then(|number| usize::try_from(*number).ok()).unwrap_or(0) {
            0 if self.absent.is_empty() => None,
            0 => self.absent.get(&(folder, name.to_owned())).copied(),
            number => number.checked_sub(1),
        }
    }

    /// Puts down that a name is this log.
    pub(super) fn insert(
        &mut self,
        folders: &[Folder],
        (folder, name): (usize, &OsStr),
        log: usize,
    ) {
        let place = folders.get(folder).and_then(|folder| folder.names.position(name));
        let slot = place.and_then(|at| self.by_name.get_mut(folder)?.get_mut(at));
        match (slot, u32::try_from(log.saturating_add(1))) {
            (Some(slot), Ok(number)) => *slot = number,
            _ => {
                self.absent.insert((folder, name.to_owned()), log);
            }
        }
    }
}
