//! The heads of active files that go, where the policy permits that (`livetrim`).

use super::Evictions;
use super::pressure::Pressed;
use crate::plan::Reason;
use crate::plan::draft::{SetDraft, Trim};
use crate::units::Bytes;

impl Evictions {
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
