//! The heads of active files that go, where the policy (`livetrim`) or a person permits that.

use super::Evictions;
use super::pressure::Pressed;
use crate::plan::Reason;
use crate::plan::draft::{SetDraft, Trim};
use crate::plan::trim::{KEPT_MIN, levelled, whole_blocks};
use crate::units::Bytes;

impl Evictions {
    /// Cuts off what is still missing when no archive is left that may go.
    pub(super) fn cut_to_free(&mut self, drafts: &mut [SetDraft<'_>], dev: u64, wanted: Bytes) {
        let Some(volume) = self.volumes.get(&dev) else { return };
        let missing = i128::from(wanted.get()) - volume.free;
        let missing = Bytes::new(u64::try_from(missing.max(0)).unwrap_or(u64::MAX));
        // One size for all: a file system has one, and whole blocks are whole in each.
        let there = drafts.iter().filter(|draft| draft.set.dev == dev);
        let block = there.map(|draft| draft.set.space.block).max().unwrap_or_default();
        let size = block.get().max(1);
        let mut logs: Vec<(usize, (u64, u64))> = Vec::new();
        for (index, pool) in self.pools.iter().enumerate() {
            let Some(set) = drafts.get(pool.set) else { continue };
            let is_there =
                set.set.dev == dev && size.is_multiple_of(set.set.space.block.get().max(1));
            let Some(draft) = set.logs.get(pool.log).filter(|_| is_there) else { continue };
            let most = whole_blocks(draft, block, KEPT_MIN).get() / size;
            let has = draft.log.active.map_or(Bytes::ZERO, |active| active.stamp.allocated);
            if most > 0 {
                logs.push((index, (has.get() / size, most)));
            }
        }
        let sizes: Vec<_> = logs.iter().map(|(_, sizes)| *sizes).collect();
        let cuts = levelled(missing.in_blocks(block).get() / size, &sizes);
        let mut cuts: Vec<_> =
            std::iter::zip(logs, cuts).map(|((index, _), blocks)| (index, blocks)).collect();
        cuts.sort_by_key(|(index, blocks)| (std::cmp::Reverse(*blocks), *index));
        for (index, blocks) in cuts.into_iter().filter(|(_, blocks)| *blocks > 0) {
            let Some(pool) = self.pools.get(index) else { continue };
            let free = self.volumes.get(&dev).map_or(0, |volume| volume.free);
            let free = Bytes::new(u64::try_from(free).unwrap_or(0));
            let Some(set) = drafts.get_mut(pool.set) else { continue };
            let Some(draft) = set.logs.get_mut(pool.log) else { continue };
            let cut = Bytes::new(blocks.saturating_mul(size));
            let reason = Reason::Reserve { free, wanted };
            draft.trim = Some(Box::new(Trim { reason, cut }));
            self.change(index, cut, 0, true, false);
            self.pressed.push(Pressed { pool: index, bytes: cut, files: 0, made: 0, is_cut: true });
        }
    }

    /// The logs whose heads go, in the order in which that was decided.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = (usize, usize)> {
        let cuts = self.pressed.iter().filter(|pressed| pressed.is_cut);
        cuts.filter_map(|pressed| self.pools.get(pressed.pool)).map(|pool| (pool.set, pool.log))
    }

    /// Cuts off what a log has above its share, and no more than must go.
    pub(super) fn cut(
        &mut self,
        (index, most): (usize, Bytes),
        drafts: &mut [SetDraft<'_>],
        (used, limit): (Bytes, Bytes),
        share: Bytes,
    ) {
        let Some(pool) = self.pools.get(index) else { return };
        let Some(set) = drafts.get_mut(pool.set) else { return };
        let block = set.set.space.block;
        let Some(draft) = set.logs.get_mut(pool.log) else { return };
        let over = used.minus(limit).min(pool.used.minus(share));
        let cut = over.in_blocks(block).min(most);
        let before = draft.trim.as_ref().map_or(Bytes::ZERO, |trim| trim.cut);
        let reason = Reason::QuotaPressure { used, limit };
        draft.trim = Some(Box::new(Trim { reason, cut: before.plus(cut) }));
        self.change(index, cut, 0, true, false);
        self.pressed.push(Pressed { pool: index, bytes: cut, files: 0, made: 0, is_cut: true });
    }

    /// Cuts off less, if the later decisions have made room.
    pub(super) fn cut_less(&mut self, pressed: Pressed, drafts: &mut [SetDraft<'_>]) {
        let Pressed { pool: index, bytes, .. } = pressed;
        let Some((set, log)) = self.pools.get(index).map(|pool| (pool.set, pool.log)) else {
            return;
        };
        let Some(draft) = drafts.get_mut(set) else { return };
        let block = draft.set.space.block;
        self.change(index, bytes, 0, false, false);
        let over = |bound: &super::Bound| bound.limits.quota.map(|quota| bound.used.minus(quota));
        let bounds = self.sets.get(set).into_iter().chain([&self.global]);
        let over = bounds.filter_map(over).max().unwrap_or_default();
        let needed = over.in_blocks(block).min(bytes);
        if needed > Bytes::ZERO {
            self.change(index, needed, 0, true, false);
            self.pressed.push(Pressed { bytes: needed, ..pressed });
        }
        let Some(draft) = draft.logs.get_mut(log) else { return };
        if let Some(mut trim) = draft.trim.take() {
            trim.cut = trim.cut.minus(bytes).plus(needed);
            draft.trim = (trim.cut > Bytes::ZERO).then_some(trim);
        }
    }
}
