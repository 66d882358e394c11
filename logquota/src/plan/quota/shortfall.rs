//! What is missing when everything is decided.

use super::Evictions;
use crate::units::Bytes;

/// What is left to say when everything is decided.
pub(in crate::plan) struct Shortfall {
    pub(in crate::plan) bytes: Bytes,
    pub(in crate::plan) files: u64,
}

impl Evictions {
    /// What is missing in a set, its own limits and the common ones.
    pub(in crate::plan) fn shortfall(&self, set: usize) -> Shortfall {
        let mut bytes = Bytes::ZERO;
        let mut files = 0u64;
        for bound in self.sets.get(set).into_iter().chain([&self.global]) {
            if let Some(quota) = bound.limits.quota {
                bytes = bytes.max(bound.used.minus(quota));
            }
            if let Some(limit) = bound.limits.max_files {
                files = files.max(bound.files.saturating_sub(limit));
            }
            if let (Some(reserve), Some(volume)) =
                (bound.limits.reserve, self.devs.get(set).and_then(|dev| self.volumes.get(dev)))
            {
                let missing = i128::from(reserve.of(volume.total).get()) - volume.free;
                bytes = bytes.max(Bytes::new(u64::try_from(missing).unwrap_or(0)));
            }
        }
        if let Some((dev, wanted)) = self.inodes
            && self.devs.get(set) == Some(&dev)
            && let Some(free) = self.volumes.get(&dev).and_then(|volume| volume.files)
        {
            let missing = i128::from(wanted) - free;
            files = files.max(u64::try_from(missing).unwrap_or(0));
        }
        Shortfall { bytes, files }
    }
}
