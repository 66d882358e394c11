//! Finds the folders in which archives are, when they are not beside their logs.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use super::{Folder, World};
use crate::error::{Error, Op};
use crate::inventory::Place;
use crate::policy::ArchiveDir;

impl World<'_> {
    /// The folder `archives` of the logs in folder `from`; one that does not exist and may be
    /// made is put down as such.
    ///
    /// A path that the administrator wrote as a whole is opened as it stands; what is
    /// relative to a folder that was only found is reached from that one step by step.
    pub(in crate::scan) fn archive_folder(
        &mut self,
        from: usize,
        archives: &ArchiveDir,
    ) -> Result<usize, String> {
        let Some(folder) = self.folders.get(from) else {
            return Err("its folder is not known".to_owned());
        };
        let path = folder.path.join(&archives.path);
        let found = if archives.path.is_absolute() || folder.is_given {
            self.archive_root(&path, archives.create.is_some())
        } else {
            self.archive_below(from, &archives.path, archives.create.is_some())
        };
        found.map_err(|error| Error::io(Op::OpenDir, &path)(error).chain())
    }

    fn archive_root(&mut self, path: &Path, may_make: bool) -> io::Result<usize> {
        let mut missing: Vec<OsString> = Vec::new();
        let mut at = path;
        let dir = loop {
            match (self.open_root(at), at.parent(), at.file_name()) {
                (Ok(dir), ..) => break dir,
                (Err(error), Some(parent), Some(name))
                    if may_make && error.kind() == io::ErrorKind::NotFound =>
                {
                    missing.push(name.to_owned());
                    at = parent;
                }
                (Err(error), ..) => return Err(error),
            }
        };
        let mut index = self.register(dir, at, true)?;
        for name in missing.into_iter().rev() {
            index = self.put_down_missing(index, &name)?;
        }
        Ok(index)
    }

    fn archive_below(&mut self, from: usize, path: &Path, may_make: bool) -> io::Result<usize> {
        let mut index = from;
        for component in path.components() {
            let name = match component {
                std::path::Component::CurDir => continue,
                std::path::Component::Normal(name) => name,
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            };
            let folder = self.folders.get(index).ok_or(io::ErrorKind::NotFound)?;
            let (dir, path) = (folder.dir, folder.path.join(name));
            index = match self.fs.open_dir(dir, name) {
                Ok(below) => {
                    let index = self.register(below, &path, false)?;
                    if self.folders.get(index).is_some_and(|folder| folder.dir != below) {
                        self.fs.close_dir(below);
                    }
                    index
                }
                Err(error) if may_make && error.kind() == io::ErrorKind::NotFound => {
                    self.put_down_missing(index, name)?
                }
                Err(error) => return Err(error),
            };
        }
        Ok(index)
    }

    /// A folder that is yet to be made.
    fn put_down_missing(&mut self, parent: usize, name: &OsStr) -> io::Result<usize> {
        let folder = self.folders.get(parent).ok_or(io::ErrorKind::NotFound)?;
        let (dir, path, meta) = (folder.dir, folder.path.join(name), folder.meta);
        if let Some(known) = self.pending.get(&(dir, name.to_owned())) {
            return Ok(*known);
        }
        let is_given = folder.is_given;
        let pending = self.fs.pending_dir(dir, name)?;
        let missing = Some(Place { dir, name: name.to_owned() });
        self.folders.push(Folder { missing, ..Folder::new(pending, &path, meta, is_given) });
        self.pending.insert((dir, name.to_owned()), self.folders.len() - 1);
        Ok(self.folders.len() - 1)
    }
}
