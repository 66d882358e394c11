//! Open files.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, SeekFrom, Timespec, Timestamps};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::append::{allocate, reserve, trim};
use super::extended;
use super::resolve::{again, stat_fd};
use crate::fs::{Acl, Attributes, Extended, NewFile, ReadFile};
use crate::stamp::{Meta, Timestamp};
use crate::units::Bytes;

#[derive(Debug)]
pub(super) struct Reader {
    fd: OwnedFd,
}

impl Reader {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(again(|| rustix::io::read(&self.fd, &mut *buf))?)
    }
}

impl ReadFile for Reader {
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn meta(&self) -> io::Result<Meta> {
        stat_fd(self.fd.as_fd())
    }

    fn acl(&self) -> io::Result<Option<Acl>> {
        extended::acl(self.fd.as_fd())
    }

    fn extended(&self) -> io::Result<Extended> {
        extended::extended(self.fd.as_fd())
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        next_data(self.fd.as_fd(), from)
    }
}

pub(super) fn next_data(file: BorrowedFd<'_>, from: u64) -> io::Result<Option<Range<u64>>> {
    // The kernel's offsets are signed; nothing lies behind the largest.
    if i64::try_from(from).is_err() {
        return Ok(None);
    }
    let seek = |to: SeekFrom| again(|| rustix::fs::seek(file, to));
    let start = match seek(SeekFrom::Data(from)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system that knows no holes: everything up to the end is data.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => {
            let end = stat_fd(file)?.stamp.len;
            if from >= end {
                return Ok(None);
            }
            seek(SeekFrom::Start(from))?;
            return Ok(Some(from..end));
        }
        Err(error) => return Err(error.into()),
    };
    let end = match seek(SeekFrom::Hole(start)) {
        Ok(end) => end,
        // Truncated meanwhile.
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    seek(SeekFrom::Start(start))?;
    Ok(Some(start..end))
}

#[derive(Debug)]
pub(super) struct Writer {
    fd: OwnedFd,
    /// Whether a hole is open at the end: the length is only set by what follows, or on sync.
    open_hole: bool,
    /// Whether there may be blocks behind the end.
    reserved: bool,
}

impl Writer {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd, open_hole: false, reserved: false }
    }

    /// A hole at the very end needs its length set: no write does it.
    fn close_hole(&mut self) -> io::Result<()> {
        if self.open_hole {
            let end = again(|| rustix::fs::seek(&self.fd, SeekFrom::Current(0)))?;
            again(|| rustix::fs::ftruncate(&self.fd, end))?;
            self.open_hole = false;
        }
        Ok(())
    }

    /// What was reserved and not used.
    fn give_back(&mut self) -> io::Result<()> {
        if self.reserved {
            trim(self.fd.as_fd())?;
            self.reserved = false;
        }
        Ok(())
    }
}

impl Write for Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = again(|| rustix::io::write(&self.fd, buf))?;
        if written > 0 {
            self.open_hole = false;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for Writer {
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn skip(&mut self, len: u64) -> io::Result<()> {
        let len = i64::try_from(len).map_err(|_| io::Error::from(Errno::FBIG))?;
        if len > 0 {
            again(|| rustix::fs::seek(&self.fd, SeekFrom::Current(len)))?;
            self.open_hole = true;
        }
        Ok(())
    }

    fn reserve(&mut self, len: Bytes) -> io::Result<()> {
        // Also if it fails: a part may be there.
        self.reserved = true;
        reserve(self.fd.as_fd(), len)
    }

    fn allocate(&mut self, len: Bytes) -> io::Result<()> {
        allocate(self.fd.as_fd(), len)
    }

    fn set_attributes(&mut self, attributes: &Attributes) -> io::Result<()> {
        self.close_hole()?;
        self.give_back()?;
        set_attributes(self.fd.as_fd(), attributes)
    }

    fn set_access(&mut self, attributes: &Attributes, acl: Option<&Acl>) -> io::Result<()> {
        self.close_hole()?;
        self.give_back()?;
        set_access(self.fd.as_fd(), attributes, acl)
    }

    fn set_extended(&mut self, extended: &Extended) -> io::Result<()> {
        extended::set_extended(self.fd.as_fd(), extended)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.close_hole()?;
        self.give_back()?;
        // Not repeated on failure: the pages that could not be written are forgotten by then,
        // and a second call would say that all is well.
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        again(|| rustix::fs::ftruncate(&self.fd, len))?;
        again(|| rustix::fs::seek(&self.fd, SeekFrom::Start(len)))?;
        self.open_hole = false;
        Ok(())
    }

    fn meta(&self) -> io::Result<Meta> {
        stat_fd(self.fd.as_fd())
    }
}

/// Owner, then times, then mode: the file is never wider than it ends.
///
/// Who may not give files away keeps them; the group's permissions are then cut to those of
/// everybody else, since it is not the group that was meant.
pub(super) fn set_attributes(fd: BorrowedFd<'_>, attributes: &Attributes) -> io::Result<()> {
    let group_is_right = set_owner_and_times(fd, attributes)?;
    let cut = |mode| if group_is_right { mode } else { for_another_group(mode) };
    set_mode(fd, attributes.mode.map(cut))
}

/// The same with an access control list, or the lack of one, in place of what there is.
fn set_access(fd: BorrowedFd<'_>, attributes: &Attributes, acl: Option<&Acl>) -> io::Result<()> {
    let group_is_right = set_owner_and_times(fd, attributes)?;
    let cut = |mode| if group_is_right { mode } else { for_another_group(mode) };
    let mode = match acl {
        None => {
            extended::set_acl(fd, None)?;
            attributes.mode.map(cut)
        }
        Some(acl) => {
            let mut wanted = acl.clone();
            if let Some(mode) = attributes.mode {
                wanted = wanted.with_mode(mode);
            }
            if !group_is_right {
                wanted = wanted.for_another_group();
            }
            if extended::set_acl(fd, Some(&wanted))? {
                // The group's bits are the mask, which is for all whom the list names.
                attributes.mode
            } else {
                attributes.mode.map(|mode| cut(acl.mode_without_it(mode)))
            }
        }
    };
    set_mode(fd, mode)
}

const fn for_another_group(mode: u32) -> u32 {
    mode & !0o070 | (mode & 0o007) << 3 & mode
}

/// Says whether the file has the group that was meant.
fn set_owner_and_times(fd: BorrowedFd<'_>, attributes: &Attributes) -> io::Result<bool> {
    let mut group_is_right = true;
    if let Some((uid, gid)) = attributes.owner {
        let now = stat_fd(fd)?;
        group_is_right = match set_owner(fd, &now, uid, gid) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                now.gid == gid || set_owner(fd, &now, now.uid, gid).is_ok()
            }
            Err(error) => return Err(error),
        };
    }
    if let Some((accessed, modified)) = attributes.times {
        let spec = |t: Timestamp| Timespec {
            tv_sec: t.secs,
            tv_nsec: i64::from(t.nanos.min(999_999_999)),
        };
        let times = Timestamps { last_access: spec(accessed), last_modification: spec(modified) };
        again(|| rustix::fs::futimens(fd, &times))?;
    }
    Ok(group_is_right)
}

fn set_mode(fd: BorrowedFd<'_>, mode: Option<u32>) -> io::Result<()> {
    if let Some(mode) = mode {
        again(|| rustix::fs::fchmod(fd, Mode::from_raw_mode(mode & 0o7777)))?;
    }
    Ok(())
}

fn set_owner(fd: BorrowedFd<'_>, now: &Meta, uid: u32, gid: u32) -> io::Result<()> {
    if (now.uid, now.gid) == (uid, gid) {
        return Ok(());
    }
    // Raw -1 means "leave it" to the kernel.
    if uid == u32::MAX || gid == u32::MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let uid = (uid != now.uid).then(|| Uid::from_raw(uid));
    let gid = (gid != now.gid).then(|| Gid::from_raw(gid));
    Ok(again(|| rustix::fs::fchown(fd, uid, gid))?)
}
