//! One rename, one new log, one new folder.

use std::io::ErrorKind;

use super::Runner;
use crate::error::{Error, Op, Result};
use crate::fs::{Acl, Attributes, Extended};
use crate::inventory::Place;
use crate::naming::temporary_name;
use crate::plan::{Like, Step};
use crate::stamp::Kind;

impl Runner<'_> {
    pub(super) fn rename(&mut self, step: &Step, from: &Place, to: &Place) -> Result<()> {
        let found = self.must_find_any(step, from)?;
        self.fs
            .rename(from.dir, &from.name, to.dir, &to.name)
            .map_err(Error::io(Op::Rename, self.path(from)))?;
        self.known.renamed.insert(found.stamp.id);
        self.unsynced.extend([from.dir, to.dir]);
        Ok(())
    }

    /// The new log gets its name when owner and mode are right: nobody ever finds one that
    /// its writer may not open, also not after a crash.
    pub(super) fn create(
        &mut self,
        at: &Place,
        attributes: &Attributes,
        like: Option<&Like>,
    ) -> Result<()> {
        let old = like.map(|like| self.extended_of(like)).transpose()?.flatten();
        let temp = Place { dir: at.dir, name: temporary_name(&at.name) };
        let made = self.fs.create(temp.dir, &temp.name);
        let mut file = made.map_err(Error::io(Op::Create, self.path(at)))?;
        self.unsynced.insert(at.dir);
        let ready = match old {
            Some((acl, label)) => file.set_extended(&label).and_then(|()| match acl {
                Some(acl) => file.set_access(attributes, acl.as_ref()),
                None => file.set_attributes(attributes),
            }),
            None => file.set_attributes(attributes),
        };
        drop(file);
        let ready = ready.map_err(Error::io(Op::SetAttributes, self.path(at)));
        let named =
            ready.and_then(|()| match self.fs.rename(temp.dir, &temp.name, at.dir, &at.name) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    let found = self.fs.stat(at.dir, &at.name);
                    match found.map_err(Error::io(Op::Stat, self.path(at)))? {
                        // The application was faster. It has its log, which is all we wanted.
                        Some(meta) if meta.kind == Kind::File => Ok(false),
                        _ => Err(Error::Changed { path: self.path(at) }),
                    }
                }
                other => other.map(|()| true).map_err(Error::io(Op::Rename, self.path(at))),
            });
        if !matches!(named, Ok(true)) {
            self.discard(&temp, None);
        } else if self.needs_made {
            let made =
                self.fs.stat(at.dir, &at.name).map_err(Error::io(Op::Stat, self.path(at)))?;
            self.known.made.extend(made.map(|made| made.stamp.id));
        }
        named.map(drop)
    }

    /// Access control list, where that is asked for, and label of the log that was. `None` if it
    /// is gone or another file, or not ours to read: the new log is made all the same.
    fn extended_of(&self, like: &Like) -> Result<Option<(Option<Option<Acl>>, Extended)>> {
        let path = || self.path(&like.at);
        let file = match self.fs.read(like.at.dir, &like.at.name) {
            Ok(file) => file,
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::InvalidInput => {
                    return Ok(None);
                }
                _ => return Err(Error::io(Op::Open, path())(error)),
            },
        };
        if file.meta().map_err(Error::io(Op::Stat, path()))?.stamp.id != like.id {
            return Ok(None);
        }
        let acl = like.keeps_acl.then(|| file.acl()).transpose();
        let acl = acl.map_err(Error::io(Op::Stat, path()))?;
        let label = file.extended().map_err(Error::io(Op::Stat, path()))?.label_only();
        Ok(Some((acl, label)))
    }

    pub(super) fn make_dir(&mut self, at: &Place, attributes: &Attributes) -> Result<()> {
        self.fs
            .make_dir(at.dir, &at.name, attributes)
            .map_err(Error::io(Op::MakeDir, self.path(at)))?;
        self.unsynced.insert(at.dir);
        Ok(())
    }
}
