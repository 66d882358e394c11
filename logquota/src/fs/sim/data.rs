//! What is in a simulated file: blocks, holes, and blocks without content.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// One allocated block.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Block {
    /// Allocated and never written (`fallocate`): reads as zeros and is no data.
    Reserved,
    /// The same byte throughout, which costs no memory.
    Fill(u8),
    /// Real bytes; what is missing at the end is zeros.
    Bytes(Arc<[u8]>),
}

/// Content of a file. Blocks that are not in the map are holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Data {
    block: u64,
    len: u64,
    blocks: BTreeMap<u64, Block>,
}

impl Data {
    pub(super) const fn empty(block: u64) -> Self {
        Self { block, len: 0, blocks: BTreeMap::new() }
    }

    pub(super) const fn block(&self) -> u64 {
        self.block
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Blocks behind it.
    pub(super) fn blocks(&self) -> u64 {
        u64::try_from(self.blocks.len()).unwrap_or(u64::MAX)
    }

    /// Blocks that writing this range would allocate.
    pub(super) fn missing(&self, range: &Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let (first, end) = (range.start / self.block, range.end.div_ceil(self.block));
        let have = self.blocks.range(first..end).count();
        (end - first).saturating_sub(u64::try_from(have).unwrap_or(u64::MAX))
    }

    /// The longest beginning of this range that allocates at most `free` blocks.
    pub(super) fn affordable(&self, range: &Range<u64>, free: u64) -> u64 {
        let mut left = free;
        let mut end = range.start;
        while end < range.end {
            let index = end / self.block;
            if !self.blocks.contains_key(&index) {
                if left == 0 {
                    break;
                }
                left -= 1;
            }
            end = (index + 1).saturating_mul(self.block).min(range.end);
        }
        end - range.start
    }

    /// The longest beginning of this range for which blocks are set aside and not written.
    pub(super) fn unwritten(&self, range: &Range<u64>) -> u64 {
        let mut end = range.start;
        while end < range.end && self.blocks.get(&(end / self.block)) == Some(&Block::Reserved) {
            end = (end / self.block + 1).saturating_mul(self.block).min(range.end);
        }
        end - range.start
    }

    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) {
        let mut at = at;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (index, within) = (at / self.block, at % self.block);
            let room = usize::try_from(self.block - within).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(room.min(rest.len()));
            let mut content = self.block_bytes(index);
            let within = usize::try_from(within).unwrap_or(usize::MAX);
            if content.len() < within + now.len() {
                content.resize(within + now.len(), 0);
            }
            if let Some(target) = content.get_mut(within..within + now.len()) {
                target.copy_from_slice(now);
            }
            self.blocks.insert(index, Block::Bytes(content.into()));
            at += u64::try_from(now.len()).unwrap_or(u64::MAX);
            rest = later;
        }
        self.len = self.len.max(at);
    }

    /// The written bytes of one block, without the zeros behind.
    fn block_bytes(&self, index: u64) -> Vec<u8> {
        match self.blocks.get(&index) {
            None | Some(Block::Reserved) => Vec::new(),
            Some(Block::Fill(byte)) => {
                vec![*byte; usize::try_from(self.block).unwrap_or(usize::MAX)]
            }
            Some(Block::Bytes(bytes)) => bytes.to_vec(),
        }
    }

    /// Makes `len` bytes of `byte` behind the end; costs one map entry for each block.
    pub(super) fn fill(&mut self, byte: u8, len: u64) {
        let first = self.len.div_ceil(self.block);
        self.len = self.len.saturating_add(len);
        for index in first..self.len.div_ceil(self.block) {
            self.blocks.insert(index, Block::Fill(byte));
        }
    }

    /// Allocates without writing and without changing the length.
    pub(super) fn reserve(&mut self, len: u64) {
        for index in 0..len.div_ceil(self.block) {
            self.blocks.entry(index).or_insert(Block::Reserved);
        }
    }

    /// Makes it longer with a hole, or shorter.
    pub(super) fn set_len(&mut self, len: u64) {
        self.len = len;
        self.blocks.split_off(&len.div_ceil(self.block));
        let within = usize::try_from(len % self.block).unwrap_or(0);
        if within > 0 && self.blocks.contains_key(&(len / self.block)) {
            let mut last = self.block_bytes(len / self.block);
            last.truncate(within);
            self.blocks.insert(len / self.block, Block::Bytes(last.into()));
        }
    }

    /// Takes the whole blocks of the first `len` bytes away: the rest moves to the start, or stays
    /// where it is behind a hole. There, what of `len` is in a block that stays becomes zeros.
    pub(super) fn cut_head(&mut self, len: u64, closes: bool) {
        let first = len / self.block;
        let within = usize::try_from(len % self.block).unwrap_or(0);
        if !closes && within > 0 && self.blocks.contains_key(&first) {
            let mut part = self.block_bytes(first);
            let end = within.min(part.len());
            part.get_mut(..end).unwrap_or_default().fill(0);
            self.blocks.insert(first, Block::Bytes(part.into()));
        }
        let rest = self.blocks.split_off(&first);
        if closes {
            self.blocks = rest.into_iter().map(|(index, block)| (index - first, block)).collect();
            self.len = self.len.saturating_sub(first.saturating_mul(self.block));
        } else {
            self.blocks = rest;
        }
    }

    /// With some of the blocks gone that `cut` has no longer, the first or the last of them.
    pub(super) fn with_part_of_gap(&self, cut: &Self, mut below: impl FnMut(u64) -> u64) -> Self {
        let is_gone = |index: &&u64| !cut.blocks.contains_key(*index);
        let mut gone: Vec<u64> = self.blocks.keys().filter(is_gone).copied().collect();
        if below(2) == 0 {
            gone.reverse();
        }
        let count = below(u64::try_from(gone.len()).unwrap_or(0).saturating_add(1));
        gone.truncate(usize::try_from(count).unwrap_or(0));
        let mut parted = self.clone();
        parted.blocks.retain(|index, _| !gone.contains(index));
        parted
    }

    /// Makes one block read as zeros.
    pub(super) fn zero_block(&mut self, index: u64) {
        if let Some(block) = self.blocks.get_mut(&index) {
            *block = Block::Fill(0);
        }
    }

    /// How many bytes from the start are the same in both.
    pub(super) fn common_start(&self, other: &Self) -> u64 {
        let end = self.len.min(other.len);
        for index in 0..end.div_ceil(self.block) {
            if self.blocks.get(&index) == other.blocks.get(&index) {
                continue;
            }
            let (mine, theirs) = (self.block_bytes(index), other.block_bytes(index));
            let longest = mine.len().max(theirs.len());
            let same = |at: &usize| mine.get(*at).unwrap_or(&0) == theirs.get(*at).unwrap_or(&0);
            if let Some(differs) = (0..longest).find(|at| !same(at)) {
                let start = index.saturating_mul(self.block);
                return end.min(start.saturating_add(u64::try_from(differs).unwrap_or(0)));
            }
        }
        end
    }

    /// Fills `buffer` from `at`; fewer bytes only at the end.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> usize {
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let Some(buffer) = buffer.get_mut(..count) else { return 0 };
        buffer.fill(0);
        let mut done = 0;
        while done < count {
            let position = at + u64::try_from(done).unwrap_or(0);
            let within = usize::try_from(position % self.block).unwrap_or(0);
            let chunk =
                (usize::try_from(self.block).unwrap_or(usize::MAX) - within).min(count - done);
            if let Some(target) = buffer.get_mut(done..done + chunk) {
                match self.blocks.get(&(position / self.block)) {
                    None | Some(Block::Reserved) => {}
                    Some(Block::Fill(byte)) => target.fill(*byte),
                    Some(Block::Bytes(bytes)) => {
                        let from = bytes.get(within..).unwrap_or(&[]);
                        let n = from.len().min(chunk);
                        for (to, byte) in target.iter_mut().zip(from.iter().take(n)) {
                            *to = *byte;
                        }
                    }
                }
            }
            done += chunk;
        }
        count
    }

    /// The next run of written blocks at or behind `from`, within the length.
    pub(super) fn next_data(&self, from: u64) -> Option<Range<u64>> {
        let mut found: Option<Range<u64>> = None;
        for (index, block) in self.blocks.range(from / self.block..) {
            let start = index * self.block;
            if *block == Block::Reserved || start >= self.len {
                if found.is_some() {
                    break;
                }
                continue;
            }
            let end = (start + self.block).min(self.len);
            match &mut found {
                None => found = Some(start.max(from)..end),
                Some(range) if range.end == start => range.end = end,
                Some(_) => break,
            }
        }
        found.filter(|range| !range.is_empty())
    }

    /// All of it, holes as zeros.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(self.len).unwrap_or(usize::MAX)];
        self.read(0, &mut all);
        all
    }
}
