//! Whole records in one slice.

/// Many records in one slice, which may be cut between them and nowhere else.
pub trait Records {
    /// All of them.
    fn bytes(&self) -> &[u8];

    /// The last end of a record at or before `at`; 0 if none ends there.
    fn end_before(&self, at: usize) -> usize;

    /// The first end of a record behind `at`. A record that has none in the slice ends with it.
    fn end_after(&self, at: usize) -> usize {
        let _ = at;
        self.bytes().len()
    }

    /// How many records end in `bytes()[from..to]`.
    fn count(&self, from: usize, to: usize) -> u64;
}

/// One record.
pub(super) struct One<'a>(pub(super) &'a [u8]);

impl Records for One<'_> {
    fn bytes(&self) -> &[u8] {
        self.0
    }

    fn end_before(&self, at: usize) -> usize {
        if at >= self.0.len() { self.0.len() } else { 0 }
    }

    fn count(&self, _from: usize, to: usize) -> u64 {
        u64::from(to >= self.0.len())
    }
}

/// Records whose lengths are known.
pub(super) struct Measured<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) lens: &'a [u32],
}

impl Measured<'_> {
    fn ends(&self) -> impl Iterator<Item = usize> {
        self.lens.iter().scan(0usize, |end, len| {
            *end = end.saturating_add(usize::try_from(*len).unwrap_or(usize::MAX));
            Some(*end)
        })
    }
}

impl Records for Measured<'_> {
    fn bytes(&self) -> &[u8] {
        self.bytes
    }

    fn end_before(&self, at: usize) -> usize {
        self.ends().take_while(|end| *end <= at).last().unwrap_or(0)
    }

    fn end_after(&self, at: usize) -> usize {
        self.ends().find(|end| *end > at).unwrap_or(self.bytes.len())
    }

    fn count(&self, from: usize, to: usize) -> u64 {
        let count = self.ends().filter(|end| *end > from && *end <= to).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}
