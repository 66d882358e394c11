//! File work as somebody else: effective ids of the calling thread.
//!
//! Only the effective ids change; the saved ones stay, so that there is a way back. That is
//! for access to files, not a wall: code that runs as the other user could come back, too.

use std::io;

use rustix::process::{getegid, geteuid, getgroups};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::policy::Identity;

/// Who we are when we are ourselves.
#[derive(Debug)]
pub(super) struct Home {
    uid: rustix::process::Uid,
    gid: rustix::process::Gid,
    groups: Option<Vec<rustix::process::Gid>>,
}

impl Home {
    pub(super) fn of_this_thread() -> Self {
        Self { uid: geteuid(), gid: getegid(), groups: getgroups().ok() }
    }

    /// The effective user id we started with.
    pub(super) fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    pub(super) fn act_as(&self, who: Option<Identity>) -> io::Result<()> {
        // From one identity to another goes by way of our own, which alone may do it.
        self.come_back()?;
        let Some(Identity { uid, gid }) = who else { return Ok(()) };
        // Raw -1 means "leave it" to the kernel.
        if uid == u32::MAX || gid == u32::MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let uid = rustix::process::Uid::from_raw(uid);
        let gid = rustix::process::Gid::from_raw(gid);
        if self.uid == uid && self.gid == gid {
            return Ok(());
        }
        let done = (|| -> io::Result<()> {
            // The groups and the group go first: without root's user id they could not. Our
            // supplementary groups would open files that the user may not.
            if self.uid.is_root() {
                set_thread_groups(&[gid])?;
            }
            set_thread_res_gid(None, gid, None)?;
            set_thread_res_uid(None, uid, None)?;
            Ok(())
        })();
        if done.is_err() {
            self.come_back()?;
        }
        done
    }

    /// In the reverse order, since each step needs what the one before gives back.
    fn come_back(&self) -> io::Result<()> {
        if geteuid() != self.uid {
            set_thread_res_uid(None, self.uid, None)?;
        }
        if getegid() != self.gid {
            set_thread_res_gid(None, self.gid, None)?;
        }
        if self.uid.is_root()
            && let Some(groups) = &self.groups
            && getgroups()? != *groups
        {
            set_thread_groups(groups)?;
        }
        Ok(())
    }
}
