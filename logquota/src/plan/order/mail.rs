//! Mails under our own rules: of archives before they go by number or age, or of new ones.
//!
//! What goes for a limit's sake is not mailed: where room is missing, a mail that cannot be sent
//! must not keep it from being made.

use std::ffi::OsStr;
use std::sync::Arc;

use super::rotation::Done;
use super::{At, Builder};
use crate::inventory::{Archive, Place};
use crate::plan::classic::packs_at_once;
use crate::plan::draft::LogDraft;
use crate::plan::{Action, Expect, Message, Reason};
use crate::policy::{Mail, MailWhen, Policy, Rules};
use crate::units::Bytes;

impl Builder<'_> {
    /// An archive that is about to go.
    pub(super) fn mail_old(
        &mut self,
        set: usize,
        log: usize,
        draft: &LogDraft<'_>,
        archive: &Archive,
        reason: &Reason,
    ) -> Option<usize> {
        let mail = wanted(draft.policy, MailWhen::Last)?;
        if !matches!(reason, Reason::Count { .. } | Reason::MaxAge { .. }) {
            return None;
        }
        let suffix = archive.suffix();
        let unpack = (!archive.is_plain()).then(|| unpacker(mail, suffix));
        let at = Place { dir: draft.log.archive_dir, name: archive.name().to_owned() };
        let subject = self.inventory.path(at.dir, &at.name).into_os_string();
        let message = Message { address: mail.address.clone(), subject, unpack };
        let action = Action::Mail { at, message: Arc::new(message) };
        let expect = Expect::Unchanged(archive.stamp());
        Some(self.push(At::log(set, log), action, expect, Bytes::ZERO, Reason::Mail))
    }

    /// The archive that a rotation has made, while it is still plain.
    pub(super) fn mail_new(&mut self, at: At, draft: &LogDraft<'_>, done: &mut Done) {
        let gone = draft.rotation.as_ref().and_then(|rotation| rotation.gone.as_ref());
        let when = match gone {
            None => MailWhen::First,
            // It is the newest, and it is about to go.
            Some(Reason::Count { .. } | Reason::MaxAge { .. }) => match &draft.policy.mail {
                Some(mail) => mail.when,
                None => return,
            },
            Some(_) => return,
        };
        let (Some(mail), Some(new)) = (wanted(draft.policy, when), &done.new) else { return };
        let log = draft.log;
        // As logrotate: where it is compressed at once, a mail is about the log.
        let subject = if when == MailWhen::First && packs_at_once(draft.policy) {
            self.inventory.path(log.dir, &log.name)
        } else {
            self.inventory.path(new.place.dir, &new.place.name)
        };
        let subject = subject.into_os_string();
        let message = Message { address: mail.address.clone(), subject, unpack: None };
        let action = Action::Mail { at: new.place.clone(), message: Arc::new(message) };
        let expect = Expect::SameFile(new.meta.stamp.id);
        let at = at.after(done.archive.iter().copied());
        let sent = self.push(at, action, expect, Bytes::ZERO, Reason::Mail);
        if gone.is_some() {
            done.archive.push(sent);
        }
    }
}

fn wanted(policy: &Policy, when: MailWhen) -> Option<&Mail> {
    policy.mail.as_ref().filter(|mail| policy.rules == Rules::Own && mail.when == when)
}

/// What unpacks an archive: archives of an earlier configuration may have another suffix.
fn unpacker(mail: &Mail, suffix: &str) -> std::ffi::OsString {
    let known = match suffix {
        ".gz" => "gunzip",
        ".zst" => "unzstd",
        ".bz2" => "bunzip2",
        ".xz" => "unxz",
        _ => return mail.unpack.clone(),
    };
    let known = OsStr::new(known);
    let given = std::path::Path::new(&mail.unpack);
    // Our own default is for gzip; what somebody has written is for everything.
    if given == std::path::Path::new(Mail::UNPACK) { known.to_owned() } else { mail.unpack.clone() }
}
