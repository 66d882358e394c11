//! A disk, a clock, appenders on them, and everybody else; after each operation all is
//! judged.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, FixedOffset};
use logquota::Bytes;
use logquota::fs::sim::{Content, SimFs, Unsynced};
use logquota_tests::clock::TwoHands;
use logquota_tests::records::{Id, Piece};

use crate::look::Disk;
use crate::op::Op;
use crate::setup::{Setup, Start};
use crate::writer::{Known, Writer};

/// What somebody else does to the log may come in the middle of a call.
#[derive(Default)]
pub(crate) struct Meddled {
    pub(crate) happened: AtomicBool,
    pub(crate) ever: AtomicBool,
    /// Records that somebody has destroyed or renamed.
    pub(crate) gone: Mutex<BTreeSet<Id>>,
    /// Bytes that somebody has put into our files.
    pub(crate) foreign: Mutex<u64>,
}

pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) fs: Arc<SimFs>,
    pub(crate) clock: Arc<TwoHands>,
    pub(crate) writers: Vec<Writer>,
    pub(crate) past: Vec<Known>,
    pub(crate) meddled: Arc<Meddled>,
    pub(crate) turn: usize,
    next_tag: u16,
    /// Another appender was opened, or tried to be.
    pub(crate) has_company: bool,
    /// When the machine stops, and what becomes of what was not synced.
    pub(crate) crash_at: Option<(u64, Unsynced)>,
    pub(crate) has_faults: bool,
    pub(crate) is_filled: bool,
    /// Nothing has gone wrong since the last time that everything was made well.
    pub(crate) is_well: bool,
    /// Pages may be torn, archives empty, records cut.
    pub(crate) is_torn: bool,
    pub(crate) may_be_empty: bool,
    pub(crate) may_be_cut: bool,
    /// What ours occupied when it was last opened, or more than the quota since.
    base: u64,
    pub(crate) others: u64,
}

fn noon() -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339("2026-11-21T12:00:00+01:00").expect("a time")
}

impl World {
    pub(crate) fn new(setup: Setup) -> Result<Self, String> {
        let fs = SimFs::new(setup.disk);
        let clock = TwoHands::new(noon());
        fs.set_time(clock.seconds());
        fs.mkdir("/filler").expect("a folder");
        fs.mkdir("/elsewhere").expect("a folder");
        if setup.start != Start::NoFolder {
            fs.mkdir("/log").expect("a folder");
        }
        let may_be_cut = setup.disk.copy_on_write;
        let mut world = Self {
            setup,
            fs: Arc::new(fs),
            clock: Arc::new(clock),
            writers: Vec::new(),
            past: Vec::new(),
            meddled: Arc::default(),
            turn: 0,
            next_tag: 0,
            has_company: false,
            crash_at: None,
            has_faults: false,
            is_filled: false,
            is_well: true,
            is_torn: false,
            may_be_empty: false,
            may_be_cut,
            base: 0,
            others: 0,
        };
        if world.setup.start != Start::Usual {
            world.is_well = false;
        }
        if world.setup.start == Start::Full {
            world.fill();
        }
        world.rebase();
        world.open()?;
        world.check()?;
        Ok(world)
    }

    /// Opens one more appender.
    pub(crate) fn open(&mut self) -> Result<(), String> {
        let events = Arc::default();
        self.others_stale(usize::MAX);
        if !self.writers.is_empty() {
            self.has_company = true;
            self.rebase();
        }
        let opened = self.setup.builder(&self.fs, &self.clock, &events).open();
        // It takes an empty log over before it finds that it cannot begin its own.
        self.may_be_empty |= !self.writers.is_empty() && (opened.is_err() || !self.is_well);
        let log = match opened {
            Ok(log) => log,
            Err(_) if !self.is_well || self.stopped() => return Ok(()),
            Err(_) if !self.writers.is_empty() => {
                // Two may need more room than there is; the first one has to notice, now.
                self.is_well = false;
                return Ok(());
            }
            Err(error) if !self.setup.always_takes(1) => {
                // A quota of less than one segment's blocks, or a disk of no inodes.
                let _ = error;
                return Ok(());
            }
            Err(error) => return Err(format!("it cannot be opened: {}", error.chain())),
        };
        let is_kept = self.setup.delivery == logquota::Delivery::Written && self.writers.is_empty();
        let known = Known { tag: self.next_tag, is_kept, ..Known::default() };
        self.next_tag += 1;
        if !self.writers.is_empty() {
            // What another one still holds, because it has not looked since, is not deleted:
            // younger archives go before it.
            self.writers.iter_mut().for_each(|writer| writer.known.is_kept = false);
        }
        self.writers.push(Writer {
            known,
            log,
            events,
            received: 0,
            // One that starts degraded may know nothing yet.
            is_stale: !self.is_well,
            is_blind: false,
            is_vague: false,
        });
        Ok(())
    }

    /// All writers but this one are behind the times.
    pub(crate) fn others_stale(&mut self, but: usize) {
        for (index, writer) in self.writers.iter_mut().enumerate() {
            writer.is_stale |= index != but;
        }
    }

    /// Whether the machine has stopped.
    pub(crate) fn stopped(&self) -> bool {
        self.crash_at.is_some_and(|(at, _)| self.fs.calls() >= at)
    }

    pub(crate) fn fill(&mut self) {
        self.exceeded_is_kept();
        for number in 0.. {
            let path = format!("/filler/{number}");
            if !self.fs.exists(&path) {
                let _ = self.fs.fill_disk(path);
                break;
            }
        }
        self.is_filled = true;
        self.is_well = false;
    }

    pub(crate) fn free(&mut self) {
        for number in 0.. {
            if self.fs.unlink(format!("/filler/{number}")).is_err() {
                break;
            }
        }
        self.is_filled = false;
    }

    /// Nothing to do: the bound is checked before it is set again.
    fn exceeded_is_kept(&self) {
        debug_assert!(self.fs.exceeded().is_none(), "checked after each operation");
    }

    /// Bytes of files that are not the log's, with a name.
    fn foreign_files(&self) -> u64 {
        let all = self.fs.snapshot();
        let is_other = |path: &std::path::Path| {
            path.starts_with("/filler")
                || path.starts_with("/elsewhere")
                || path.file_name().is_some_and(|name| name == "app.log.old")
        };
        let others = all.keys().filter(|path| is_other(path));
        others.filter_map(|path| self.fs.meta(path).ok()).map(|m| m.stamp.allocated.get()).sum()
    }

    pub(crate) fn ours(&self) -> u64 {
        self.fs.usage().files.get().saturating_sub(self.foreign_files())
    }

    /// From now on ours may occupy its quota, or what it does, and no more.
    pub(crate) fn rebase(&mut self) {
        let Some(quota) = self.setup.quota else {
            self.fs.assert_used_at_most(Bytes::MAX);
            return;
        };
        let foreign = *self.meddled.foreign.lock().expect("no panic");
        self.base = self.ours();
        self.others = self.foreign_files();
        let bound = Bytes::new(quota.max(self.base) + self.others + foreign);
        if self.has_company {
            // What one has deleted while another one holds it has no name; who holds it lets go
            // of it when it looks again.
            self.fs.assert_named_at_most(bound);
        } else {
            self.fs.assert_used_at_most(bound);
        }
    }

    /// Somebody interferes: what is bound to be noticed late is allowed for.
    pub(crate) fn allow(&mut self, bytes: u64) {
        *self.meddled.foreign.lock().expect("no panic") += bytes;
    }

    pub(crate) fn apply(&mut self, op: Op) -> Result<(), String> {
        if self.meddled.happened.swap(false, Ordering::AcqRel) {
            self.note_meddling();
        }
        self.step(op)?;
        if self.meddled.happened.swap(false, Ordering::AcqRel) {
            self.note_meddling();
        }
        if self.stopped() {
            self.crash()?;
        }
        self.check()?;
        self.rebase();
        Ok(())
    }

    /// What everybody has to find out.
    pub(crate) fn note_meddling(&mut self) {
        for writer in &mut self.writers {
            (writer.is_stale, writer.is_blind) = (true, true);
            // Meanwhile acknowledged records may have gone with the log.
            writer.known.unsure.extend(writer.known.acked.iter().rev().take(200));
        }
    }

    fn crash(&mut self) -> Result<(), String> {
        let Some((_, model)) = self.crash_at.take() else { return Ok(()) };
        if let Some((call, used)) = self.fs.exceeded() {
            return Err(format!("{used} are used after {call}"));
        }
        let seed = self.fs.calls();
        let after = self.fs.reboot(model, seed);
        // A disk gives room by blocks; a short append of this one ends anywhere.
        self.is_torn |= model == Unsynced::Torn || self.has_faults;
        // One that took an empty log over may not live to delete it.
        self.may_be_empty |= model != Unsynced::Kept || self.next_tag > 1;
        self.may_be_cut = true;
        let writers = std::mem::take(&mut self.writers);
        let disk = Disk::of(&after, true)?;
        let gone = self.gone(&disk);
        for writer in writers {
            let evicted = writer.stats().evicted_records;
            let mut known = writer.known;
            known.is_kept &= model == Unsynced::Kept;
            if !writer.is_stale && !writer.is_vague {
                known
                    .check_synced(&disk, &gone, evicted)
                    .map_err(|why| format!("after {model:?}: {why}\n{}", disk.story()))?;
            }
            known.synced = None;
            self.past.push(known);
        }
        if model != Unsynced::Kept {
            self.past.iter_mut().for_each(|known| known.is_kept = false);
        }
        // Faults and interrupts were the old machine's.
        self.fs = Arc::new(after);
        self.fs.set_time(self.clock.seconds());
        self.has_faults = false;
        self.check()?;
        self.rebase();
        self.open()
    }

    pub(crate) fn gone(&self, disk: &Disk) -> BTreeSet<Id> {
        let mut gone = self.meddled.gone.lock().expect("no panic").clone();
        gone.extend(disk.elsewhere.iter().copied());
        gone.extend(disk.odd.iter().flat_map(crate::look::File::ids));
        gone
    }

    pub(crate) fn look(&self) -> Result<Disk, String> {
        Disk::of(&self.fs, self.is_torn)
    }

    /// The last calls, for people.
    pub(crate) fn calls(&self) -> String {
        let calls = self.fs.log();
        let last = calls.iter().skip(calls.len().saturating_sub(80));
        last.map(|call| format!("{call}\n")).collect()
    }

    /// What must hold between any two calls.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        if let Some((call, used)) = self.fs.exceeded() {
            let (quota, base, others) = (self.setup.quota, self.base, self.others);
            return Err(format!(
                "{} are used after {call}; quota {quota:?}, {base} before, {others} of others",
                used.get(),
            ));
        }
        let disk = self.look()?;
        self.check_disk(&disk).map_err(|why| format!("{why}\n{}", disk.story()))
    }

    fn check_disk(&self, disk: &Disk) -> Result<(), String> {
        // The rest of a buffered record may be in the buffer.
        let waits = self.writers.iter().any(|writer| writer.stats().waiting > 0);
        let all = disk.fragments();
        // Others may have moved the log just then, or taken it over.
        let is_last = |file: &str| {
            let last = disk.files.last().is_some_and(|last| last.name == file);
            last || self.has_company || self.meddled.ever.load(Ordering::Acquire)
        };
        let mut open = disk.files.iter().chain(&disk.odd).filter(|file| is_last(&file.name));
        let is_waiting = waits && open.any(|f| f.pieces.last() == Some(&Piece::Fragment));
        if !self.may_be_cut && all > usize::from(is_waiting) {
            return Err("a record is torn".to_owned());
        }
        let meddled = !self.meddled.ever.load(Ordering::Acquire)
            && !self.writers.iter().any(|writer| writer.is_stale);
        for file in disk.files.iter().filter(|file| file.name != "app.log") {
            // What cannot be deleted just now goes with the next upkeep.
            let may_stay = self.may_be_empty || (self.has_company && self.has_faults);
            if file.len == 0 && !may_stay && meddled {
                return Err(format!("{} is empty", file.name));
            }
        }
        for file in &disk.files {
            let is_plain = !file.name.ends_with("t") && !file.name.ends_with("z");
            // A line about losses is written in front of the first record, in one call with it.
            let is_loss = |piece: &&Piece| matches!(piece, Piece::Loss { .. });
            let losses = file.pieces.iter().filter(is_loss).count();
            let is_one = file.pieces.len() <= losses + 1;
            let most = self.setup.segment + 128 * u64::try_from(losses).unwrap_or(0);
            let is_mixed = file.pieces.contains(&Piece::Foreign);
            if is_plain && !is_one && !is_mixed && file.len > most {
                return Err(format!("{} has {} bytes", file.name, file.len));
            }
        }
        let gone = self.gone(disk);
        for known in self.past.iter().chain(self.writers.iter().map(|w| &w.known)) {
            known.check_tail(disk, &gone)?;
        }
        // What others have made is counted with all that it may be.
        let is_ours_alone = self.next_tag == 1 && !self.may_be_cut;
        let is_ours_alone = is_ours_alone && !self.meddled.ever.load(Ordering::Acquire);
        let quota = self.setup.quota.filter(|_| is_ours_alone);
        let quota = quota.map(|quota| quota + 2 * self.setup.disk.block.get());
        for writer in &self.writers {
            writer
                .check(disk, quota, self.may_be_cut)
                .map_err(|why| format!("{}: {why}", writer.known.tag))?;
        }
        Ok(())
    }
}

/// A file of another program.
pub(crate) fn foreign(lines: usize) -> Content {
    Content::Bytes("foreign line of another program\n".repeat(lines).into_bytes())
}
