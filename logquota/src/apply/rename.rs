//! One rename, one new log, one new folder.

use std::io::ErrorKind;

use super::Runner;
use crate::error::{Error, Op, Result};
use crate::fs::Attributes;
use crate::inventory::Place;
use crate::plan::Step;
use crate::stamp::Kind;

impl Runner<'_> {
    pub(super) fn rename(&mut self, step: &Step, from: &Place, to: &Place) -> Result<()> {
        let found = self.must_find(step, from)?;
        self.fs
            .rename(from.dir, &from.name, to.dir, &to.name)
            .map_err(Error::io(Op::Rename, self.path(from)))?;
        self.renamed.insert(found.stamp.id);
        self.unsynced.extend([from.dir, to.dir]);
        Ok(())
    }

    pub(super) fn create(&mut self, at: &Place, attributes: &Attributes) -> Result<()> {
        let mut file = match self.fs.create(at.dir, &at.name) {
            Ok(file) => file,
            // The application was faster. It has its log, which is all we wanted.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let found = self.fs.stat(at.dir, &at.name);
                let found = found.map_err(Error::io(Op::Stat, self.path(at)))?;
                if found.is_some_and(|meta| meta.kind == Kind::File) {
                    return Ok(());
                }
                return Err(Error::Changed { path: self.path(at) });
            }
            Err(error) => return Err(Error::io(Op::Create, self.path(at))(error)),
        };
        self.unsynced.insert(at.dir);
        file.set_attributes(attributes).map_err(Error::io(Op::SetAttributes, self.path(at)))
    }

    pub(super) fn make_dir(&mut self, at: &Place, attributes: &Attributes) -> Result<()> {
        self.fs
            .make_dir(at.dir, &at.name, attributes)
            .map_err(Error::io(Op::MakeDir, self.path(at)))?;
        self.unsynced.insert(at.dir);
        Ok(())
    }
}
