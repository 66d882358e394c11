//! Logs whose heads are cut off, and who writes to them.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::FallocateFlags;

use super::append::unsupported;
use super::files::{next_data, set_attributes};
use super::resolve::{again, give_back, stat_fd};
use super::writers::{Writers, writers};
use crate::fs::{Attributes, TrimFile};
use crate::stamp::{Meta, Timestamp};

#[derive(Debug)]
pub(super) struct Log {
    fd: OwnedFd,
}

impl Log {
    pub(super) const fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    fn cut(&self, how: FallocateFlags, len: u64) -> io::Result<()> {
        again(|| rustix::fs::fallocate(&self.fd, how, 0, len))
            .map_err(|error| unsupported(error, "its file system cannot cut it there"))
    }
}

impl TrimFile for Log {
    fn meta(&self) -> io::Result<Meta> {
        stat_fd(self.fd.as_fd())
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        next_data(self.fd.as_fd(), from)
    }

    fn has_only_appenders(&self) -> io::Result<bool> {
        Ok(matches!(writers(self.fd.as_fd())?, Writers::Append | Writers::Nobody))
    }

    fn is_written(&self) -> io::Result<bool> {
        Ok(matches!(writers(self.fd.as_fd())?, Writers::Append | Writers::Elsewhere))
    }

    fn collapse(&self, len: u64) -> io::Result<()> {
        self.cut(FallocateFlags::COLLAPSE_RANGE, len)
    }

    fn punch(&self, len: u64) -> io::Result<()> {
        self.cut(FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, len)
    }

    fn set_times(&self, accessed: Timestamp, modified: Timestamp) -> io::Result<()> {
        let times = Some((accessed, modified));
        set_attributes(self.fd.as_fd(), &Attributes { times, ..Attributes::default() })
    }

    fn sync(&self) -> io::Result<()> {
        // Not repeated on failure, as for new files.
        rustix::fs::fsync(&self.fd)?;
        give_back(self.fd.as_fd());
        Ok(())
    }
}
