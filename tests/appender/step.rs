//! What one operation does to the world.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use logquota::fs::sim::{Fault, SimFs};
use logquota::naming::Naming;
use logquota::policy::{Count, Policy, Selector};
use logquota::{Bytes, Codec, Config, Delivery, SetSpec};
use logquota_tests::sandbox::Machine;

use crate::look::Disk;
use crate::op::{Meddle, Op};
use crate::setup::LOG;
use crate::world::{Meddled, World, foreign};

impl World {
    /// The writer whose turn it is; one is opened if there is none.
    fn who(&mut self) -> Result<Option<usize>, String> {
        if self.writers.is_empty() {
            self.open()?;
        }
        self.turn += 1;
        Ok((!self.writers.is_empty()).then(|| self.turn % self.writers.len()))
    }

    pub(crate) fn step(&mut self, op: Op) -> Result<(), String> {
        match op {
            Op::Pass(seconds) => {
                self.clock.pass(seconds);
                self.fs.set_time(self.clock.seconds());
            }
            Op::Jump(seconds) => {
                self.clock.jump(seconds);
                self.fs.set_time(self.clock.seconds());
            }
            Op::Shift(hours) => self.clock.shift_offset(hours),
            Op::FillDisk => {
                self.fill();
                self.rebase();
            }
            Op::FreeDisk => self.free(),
            Op::Meddle(meddle) => {
                meddle_with(&self.fs, &self.meddled, meddle);
                self.meddled(meddle);
                for writer in &mut self.writers {
                    // In a log that several hold, a cut is in no account; and where it has not
                    // all been written, only a share of it is.
                    let is_written = writer.stats().waiting == 0;
                    self.is_torn |= meddle == Meddle::Truncate && !is_written;
                    writer.is_vague |= match meddle {
                        Meddle::Truncate => self.has_company || !is_written,
                        // A record in two halves is none that can be found.
                        Meddle::Append(_) => !is_written,
                        _ => false,
                    };
                }
                if meddle == Meddle::Truncate {
                    // Noticed at once it can be counted.
                    (0..self.writers.len()).for_each(|who| self.maintain(who));
                }
            }
            Op::MeddleLater(calls, meddle) => {
                for writer in &mut self.writers {
                    // In the middle of a call nobody can tell what was where.
                    writer.is_vague |= matches!(meddle, Meddle::Truncate | Meddle::Append(_));
                }
                self.is_torn |= matches!(meddle, Meddle::Truncate | Meddle::Append(_));
                let at = self.fs.calls() + u64::from(calls);
                let meddled = Arc::clone(&self.meddled);
                self.meddled(meddle);
                self.fs.interrupt(
                    move |call| call.index >= at,
                    move |fs| meddle_with(fs, &meddled, meddle),
                );
            }
            Op::Fault(fault, calls, times) => {
                self.fs.fail_at(self.fs.calls() + u64::from(calls), fault, times);
                self.has_faults = true;
                self.is_well = false;
                // A record that was written in part may not be cut off again.
                self.may_be_cut |= !matches!(fault, Fault::Short | Fault::Interrupted);
            }
            Op::Crash(calls, model) => {
                if self.crash_at.is_none() {
                    let at = self.fs.calls() + u64::from(calls) + 1;
                    self.fs.fail_at(at, Fault::Crash, logquota::fs::sim::Times::Forever);
                    self.crash_at = Some((at, model));
                    self.is_well = false;
                }
            }
            Op::Heal => self.heal()?,
            Op::Run { compress } => self.run_program(compress),
            _ => self.call(op)?,
        }
        Ok(())
    }

    /// What all have to find out, and what that may cost until they do.
    fn meddled(&mut self, meddle: Meddle) {
        self.note_meddling();
        let segment = self.setup.claim(self.setup.segment);
        let more = match meddle {
            Meddle::Append(lines) => self.setup.claim(u64::from(lines) * 32),
            // A file of ours that has no name any more is ours until it is closed, and one
            // with another name, too.
            _ => segment,
        };
        self.allow(more + self.setup.claim(4096));
        self.rebase();
        if meddle == Meddle::Link {
            self.is_well = false;
        }
        if matches!(meddle, Meddle::Append(_)) {
            // It may come between the two halves of a record, or behind the first of one that
            // was cut; and one that was cut because the disk is full stays so.
            self.is_torn |= self.setup.delivery != Delivery::Written || self.may_be_cut;
            self.may_be_cut = true;
        }
    }

    fn call(&mut self, op: Op) -> Result<(), String> {
        if matches!(op, Op::OpenAnother) {
            return if self.writers.len() < 2 { self.open() } else { Ok(()) };
        }
        let Some(who) = self.who()? else { return Ok(()) };
        self.others_stale(who);
        let segment = self.setup.segment;
        match op {
            Op::Write(len) => self.write(who, len.of(segment))?,
            Op::Burst(count, len) => {
                for _ in 0..count {
                    if !self.stopped() {
                        self.write(who, len.of(segment))?;
                    }
                }
            }
            Op::Batch(count, len) => {
                let result = self.writers[who].write_batch(&self.setup, count, len.of(segment));
                if !self.stopped() {
                    result?;
                }
            }
            Op::Flush => drop(self.writers[who].log.flush()),
            Op::Sync => self.sync(who)?,
            Op::Rotate => drop(self.writers[who].log.rotate()),
            Op::Reopen => drop(self.writers[who].log.reopen()),
            Op::Close if self.writers.len() < 2 => {}
            Op::Close => self.close(who)?,
            Op::Restart => {
                self.close(who)?;
                if !self.stopped() {
                    self.check()?;
                    self.rebase();
                    self.open()?;
                }
            }
            _ => self.maintain(who),
        }
        Ok(())
    }

    fn write(&mut self, who: usize, len: usize) -> Result<(), String> {
        let writer = &mut self.writers[who];
        let taken = writer.write(&self.setup, len);
        if self.stopped() {
            return Ok(());
        }
        let len = u64::try_from(len).unwrap_or(u64::MAX).max(22);
        let is_expected = self.is_well && self.writers.len() == 1 && self.setup.always_takes(len);
        if !taken? && is_expected {
            let stats = self.writers[who].stats();
            return Err(format!("{len} bytes were refused although all is well: {stats:?}"));
        }
        Ok(())
    }

    fn sync(&mut self, who: usize) -> Result<(), String> {
        let result = self.writers[who].log.sync();
        let writer = &mut self.writers[who];
        if result.is_err() || writer.is_blind || self.stopped() {
            return Ok(());
        }
        let disk = Disk::of(&self.fs, true)?;
        let active = disk.files.iter().filter(|file| file.name == "app.log");
        let ids = active.flat_map(crate::look::File::ids);
        let writer = &mut self.writers[who];
        let tag = writer.known.tag;
        let ids = ids.filter(|id| id.writer == tag).map(|id| id.number).collect();
        writer.known.synced = Some((ids, writer.stats().evicted_records));
        Ok(())
    }

    pub(crate) fn maintain(&mut self, who: usize) {
        self.writers[who].log.maintain();
        let is_told = !self.has_faults && !self.stopped();
        let writer = &mut self.writers[who];
        if is_told {
            (writer.is_stale, writer.is_blind) = (false, false);
        }
    }

    pub(crate) fn close(&mut self, who: usize) -> Result<(), String> {
        let writer = self.writers.remove(who);
        let result = writer.log.close();
        if self.stopped() {
            // Judged as if it had been open when the machine stopped.
            self.writers.push(writer);
            return Ok(());
        }
        let stats = writer.stats();
        if stats.waiting > 0 || result.is_ok_and(|told| told != stats) {
            return Err(format!("closed: {stats:?}"));
        }
        if self.meddled.happened.swap(false, Ordering::AcqRel) {
            self.note_meddling();
        }
        let disk = self.look()?;
        writer
            .check(&disk, None, self.may_be_cut)
            .map_err(|why| format!("closed: {why}\n{}", disk.story()))?;
        self.past.push(writer.known);
        Ok(())
    }

    /// Everything is well again, and some time has passed.
    pub(crate) fn heal(&mut self) -> Result<(), String> {
        if self.crash_at.is_some() {
            return Ok(());
        }
        self.fs.heal();
        self.free();
        let _ = self.fs.mkdir("/log");
        if self.fs.meta(LOG).is_ok_and(|m| m.kind != logquota::stamp::Kind::File) {
            let _ = self.fs.unlink(LOG);
        }
        self.has_faults = false;
        self.clock.pass(2);
        self.fs.set_time(self.clock.seconds());
        if self.writers.is_empty() {
            self.open()?;
        }
        // What each does the other has to notice.
        for _ in 0..3 {
            for who in 0..self.writers.len() {
                self.maintain(who);
                self.others_stale(who);
            }
        }
        self.is_well = true;
        Ok(())
    }

    /// What a timer starts, by its own policy.
    fn run_program(&mut self, compress: bool) {
        let mut policy = Policy::default().rotate_at(Bytes::new(self.setup.segment / 2));
        policy.naming = Naming::sequence();
        policy.count = self.setup.keep_count.map_or(Count::Unlimited, Count::AtMost);
        policy.create = Some(logquota::policy::NewFile::default());
        policy.missing_ok = true;
        if compress {
            policy = policy.compress(Codec::Gzip);
        }
        policy.limits.quota = self.setup.quota.map(Bytes::new);
        let spec = SetSpec {
            name: LOG.to_owned(),
            pattern_text: LOG.into(),
            selectors: vec![Selector::Pattern(LOG.into())],
            policy,
            ignore_duplicates: false,
        };
        let mut machine = Machine::new(Config::single(spec));
        machine.now = logquota::clock::Clock::now(&*self.clock);
        self.meddled(Meddle::MoveToArchive);
        for writer in &mut self.writers {
            writer.is_vague |= compress;
        }
        self.meddled.ever.store(true, Ordering::Release);
        // It may be in the way of a fault, and may find that its folder is missing.
        drop(machine.run(&self.fs));
        self.is_well &= self.setup.quota.is_none();
    }

    /// The end: everything is made well, and then all is exact.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        // What has not failed yet does not fail any more.
        self.crash_at = None;
        self.heal()?;
        if self.meddled.happened.swap(false, Ordering::AcqRel) {
            self.note_meddling();
            self.heal()?;
        }
        *self.meddled.foreign.lock().expect("no panic") = 0;
        self.check().map_err(|why| format!("healed: {why}"))?;
        self.rebase();
        let Some(who) = self.writers.len().checked_sub(1) else { return Ok(()) };
        if self.writers.len() == 1 && self.setup.always_takes(60) {
            self.write(who, 60)?;
            let flushed = self.writers[who].log.flush();
            self.check()?;
            let writer = &self.writers[who];
            let stats = writer.stats();
            let announced = stats.dropped.total() - stats.dropped.too_large;
            if flushed.is_err() || stats.waiting > 0 || writer.announced() != announced {
                let told = writer.announced();
                return Err(format!("told of {told} losses of {stats:?}: {flushed:?}"));
            }
        }
        self.check_limits().map_err(|why| format!("at the end: {why}"))?;
        while !self.writers.is_empty() {
            self.close(0)?;
            self.others_stale(usize::MAX);
        }
        self.check()
    }

    /// Limits that hold after upkeep.
    fn check_limits(&mut self) -> Result<(), String> {
        let disk = self.look()?;
        // One that took an empty log over and then found no inode for its own leaves an archive
        // of nothing, until the next start.
        let is_empty = |file: &&crate::look::File| file.name != "app.log" && file.len == 0;
        let empty = if self.has_company { disk.files.iter().filter(is_empty).count() } else { 0 };
        let archives = disk.names.saturating_sub(u64::from(disk.active.is_some()));
        let archives = archives.saturating_sub(u64::try_from(empty).unwrap_or(0));
        let story = disk.story();
        // After a power failure a source may be less than its copy; then both stay.
        if !disk.twice.is_empty() && !self.may_be_empty {
            return Err(format!("there twice: {:?}\n{story}", disk.twice));
        }
        if let Some(count) = self.setup.keep_count
            && archives > u64::from(count)
            && self.setup.keep_days.is_none()
        {
            return Err(format!("{archives} archives\n{story}"));
        }
        if self.setup.max_files.is_some_and(|most| disk.names > most.max(1)) {
            return Err(format!("{} files\n{story}", disk.names));
        }
        // Those that free anything.
        let files = disk.files.iter().chain(&disk.odd);
        let has_bytes = files.filter(|file| file.name != "app.log").any(|file| file.len > 0);
        if let Some(reserve) = self.setup.reserve
            && has_bytes
            && self.fs.free().get() < reserve
        {
            return Err(format!("{} are free\n{story}", self.fs.free()));
        }
        if let Some(quota) = self.setup.quota
            && archives > 0
            && self.ours() > quota
        {
            return Err(format!("{} are used\n{story}", self.ours()));
        }
        let link = self.fs.meta("/log/latest").ok();
        let is_left_alone = !self.meddled.ever.load(Ordering::Acquire);
        let may_link = is_left_alone
            && self.setup.latest
            && self.setup.disk.capacity >= Bytes::mib(1)
            && !self.may_be_cut;
        if may_link && disk.active.is_some() && self.setup.disk.inodes > 100 && link.is_none() {
            return Err(format!("no link\n{story}"));
        }
        let evicted = self.writers.iter().map(|w| w.stats().evicted_records).sum::<u64>();
        let is_alone = self.past.is_empty() && self.writers.len() == 1;
        let is_left_alone = !self.meddled.ever.load(Ordering::Acquire);
        if self.setup.keeps_history() && is_alone && is_left_alone && evicted > 0 {
            return Err(format!("{evicted} records of history went\n{story}"));
        }
        // A line by itself may go with an archive that has no record.
        let is_whole = self.writers.iter().all(|writer| writer.stats().evicted_files == 0);
        let is_plain = self.setup.delivery == Delivery::Written && is_whole && is_alone;
        if is_plain && is_left_alone && !self.may_be_cut {
            let told: u64 = self.writers.iter().map(crate::writer::Writer::announced).sum();
            if told != disk.announced() {
                return Err(format!("{told} losses, {} in lines\n{story}", disk.announced()));
            }
        }
        Ok(())
    }
}

/// Somebody does that.
fn meddle_with(fs: &SimFs, meddled: &Meddled, meddle: Meddle) {
    let Ok(disk) = Disk::of(fs, true) else { return };
    let mut gone: Vec<_> = disk.files.iter().filter(|f| f.name == "app.log").collect();
    let archives = || disk.files.iter().filter(|file| file.name != "app.log");
    let victim = match meddle {
        Meddle::DeleteArchive { newest: true } => archives().next_back(),
        _ => archives().next(),
    };
    let mut free = (0..).map(|n| format!("/elsewhere/{n}")).find(|path| !fs.exists(path));
    let away = free.take().unwrap_or_default();
    let done = match meddle {
        Meddle::MoveAway => fs.move_over(LOG, away),
        Meddle::MoveAside => fs.move_over(LOG, "/log/app.log.old"),
        Meddle::MoveToArchive if fs.exists("/log/app.log.1") => Ok(()),
        Meddle::MoveToArchive => fs.move_over(LOG, "/log/app.log.1"),
        Meddle::Delete => fs.unlink(LOG),
        Meddle::Truncate => fs.empty(LOG),
        Meddle::Replace => fs
            .put("/elsewhere/new", foreign(3), 0)
            .and_then(|()| fs.move_over("/elsewhere/new", LOG)),
        Meddle::Link => {
            let _ = fs.unlink(LOG);
            fs.symlink("/elsewhere/target", LOG)
        }
        Meddle::Append(bytes) => {
            gone.clear();
            if fs.exists(LOG) {
                fs.append(LOG, "foreign\n".repeat(usize::from(bytes) / 8).as_bytes())
            } else {
                Ok(())
            }
        }
        Meddle::DeleteArchive { .. } => {
            gone = victim.into_iter().collect();
            victim.map_or(Ok(()), |file| fs.unlink(format!("/log/{}", file.name)))
        }
    };
    drop(done);
    let ids = gone.into_iter().flat_map(crate::look::File::ids);
    meddled.gone.lock().expect("no panic").extend(ids);
    meddled.happened.store(true, Ordering::Release);
    meddled.ever.store(true, Ordering::Release);
}
