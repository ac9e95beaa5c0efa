//! Texts and blobs of a column, one after another.

use std::fmt;
use std::ops::Range;

use super::growth::{ROOM_BYTES_MIN, append, extend_with, grow, make_room, reserve};

/// Offsets of the values of a column of text or blobs in its bytes: one more than there are values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offsets<'a> {
    /// 32-bit offsets, used as long as no batch has had 2³¹ bytes or more.
    Small(&'a [i32]),
    /// 64-bit offsets, used in a batch that has, and as a rule in later ones.
    Large(&'a [i64]),
}

impl Offsets<'_> {
    /// Range of a value in the bytes; `None` beyond the last.
    #[inline]
    pub(crate) fn range(self, index: usize) -> Option<Range<usize>> {
        let range = match self {
            Self::Small(offsets) => i64::from(*offsets.get(index)?)..i64::from(*offsets.get(index + 1)?),
            Self::Large(offsets) => *offsets.get(index)?..*offsets.get(index + 1)?,
        };
        Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
    }

    /// Range of several values together; there must be at least one.
    pub(in crate::scan) fn span(self, values: Range<usize>) -> Option<Range<usize>> {
        Some(self.range(values.start)?.start..self.range(values.end - 1)?.end)
    }
}

/// Values of any length, one after another.
#[derive(Clone, Debug)]
pub(in crate::scan) struct Bytes {
    pub(in crate::scan) bytes: Vec<u8>,
    pub(in crate::scan) offsets: OffsetBuffer,
    /// Expected number of values, and maximum number of bytes; 0 if unknown.
    pub(in crate::scan) expected: (usize, usize),
}

/// Offsets of the values of a column of text or blobs, like [`Offsets`], in memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffsetBuffer {
    /// 32-bit offsets, used as long as no batch has had 2³¹ bytes or more.
    Small(Vec<i32>),
    /// 64-bit offsets, used in a batch that has, and in later ones that reuse its memory.
    Large(Vec<i64>),
}

/// The memory of a column of text or blobs. From [`ColumnBuffer::into_bytes`](super::ColumnBuffer::into_bytes).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BytesBuffers {
    /// All values, one after another.
    pub bytes: Vec<u8>,
    /// Offsets of the values: one more than there are values.
    pub offsets: OffsetBuffer,
    /// Bitmap of the rows that have a value, as [`ColumnBuffer::validity`](super::ColumnBuffer::validity).
    pub validity: Option<Vec<u8>>,
}

impl fmt::Debug for BytesBuffers {
    /// Shows sizes, but no values, which may be confidential, and many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesBuffers").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Default for Bytes {
    fn default() -> Self {
        let mut offsets = Vec::with_capacity(ROOM_BYTES_MIN / size_of::<i32>());
        offsets.push(0);
        Self { bytes: Vec::new(), offsets: OffsetBuffer::Small(offsets), expected: (0, 0) }
    }
}

impl Bytes {
    pub(in crate::scan) fn len(&self) -> usize {
        match &self.offsets {
            OffsetBuffer::Small(offsets) => offsets.len() - 1,
            OffsetBuffer::Large(offsets) => offsets.len() - 1,
        }
    }

    #[inline(always)]
    pub(in crate::scan) fn push(&mut self, value: &[u8]) {
        if self.bytes.capacity() - self.bytes.len() < value.len() {
            self.grow(value.len());
        }
        self.bytes.extend_from_slice(value);
        match (&mut self.offsets, i32::try_from(self.bytes.len())) {
            (OffsetBuffer::Small(offsets), Ok(end)) => append(offsets, end),
            _ => self.push_large(),
        }
    }

    /// Adds values without bytes.
    pub(in crate::scan) fn push_empty(&mut self, count: usize) {
        match &mut self.offsets {
            OffsetBuffer::Small(offsets) => extend_with(offsets, offsets.last().copied().unwrap_or(0), count),
            OffsetBuffer::Large(offsets) => extend_with(offsets, offsets.last().copied().unwrap_or(0), count),
        }
    }

    #[cold]
    #[inline(never)]
    pub(in crate::scan) fn grow(&mut self, more: usize) {
        /// Number of values from which the lengths of the others are estimated.
        const SOME: usize = 256;
        let values = self.len();
        let (expected, most) = self.expected;
        if values >= SOME && values < expected {
            let len = self.bytes.len();
            let ahead = len as u128 * (expected - values) as u128 / values as u128;
            let ahead = usize::try_from(ahead + ahead / 16).unwrap_or(usize::MAX).min(most);
            // The first values may be short. Growing at least by the current length limits the number of copies.
            if make_room(&mut self.bytes, more.max(ahead).max(len)) {
                return;
            }
        }
        grow(&mut self.bytes, more);
    }

    #[cold]
    #[inline(never)]
    pub(in crate::scan) fn push_large(&mut self) {
        let end = i64::try_from(self.bytes.len()).unwrap_or(i64::MAX);
        match &mut self.offsets {
            OffsetBuffer::Large(offsets) => offsets.push(end),
            OffsetBuffer::Small(offsets) => {
                let mut large: Vec<i64> = Vec::with_capacity(offsets.capacity());
                large.extend(offsets.iter().map(|&offset| i64::from(offset)));
                large.push(end);
                self.offsets = OffsetBuffer::Large(large);
            }
        }
    }

    pub(in crate::scan) fn clear(&mut self) {
        self.bytes.clear();
        match &mut self.offsets {
            OffsetBuffer::Small(offsets) => offsets.truncate(1),
            // The next batch may be as large, so the capacity is kept.
            OffsetBuffer::Large(offsets) => offsets.truncate(1),
        }
    }

    /// Appends some values of another column; there must be at least one.
    pub(in crate::scan) fn append(&mut self, other: &Self, range: Range<usize>) {
        let bytes = other.offsets().span(range.clone()).unwrap_or_default();
        let before = self.bytes.len();
        if self.bytes.capacity() - before < bytes.len() {
            self.grow(bytes.len());
        }
        let (start, end) = (i32::try_from(before), i32::try_from(before + bytes.len()));
        match (&mut self.offsets, &other.offsets, start, end) {
            (OffsetBuffer::Small(to), OffsetBuffer::Small(from), Ok(before), Ok(_)) => {
                self.bytes.extend_from_slice(&other.bytes[bytes]);
                reserve(to, range.len());
                let start = from[range.start];
                to.extend(from[range.start + 1..=range.end].iter().map(|end| end - start + before));
            }
            _ => {
                for index in range {
                    self.push(other.get(index).unwrap_or_default());
                }
            }
        }
    }

    pub(in crate::scan) fn offsets(&self) -> Offsets<'_> {
        match &self.offsets {
            OffsetBuffer::Small(offsets) => Offsets::Small(offsets),
            OffsetBuffer::Large(offsets) => Offsets::Large(offsets),
        }
    }

    pub(in crate::scan) fn get(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.offsets().range(index)?)
    }

    pub(in crate::scan) fn expect(&mut self, values: usize, bytes: usize) -> bool {
        self.expected = (values, bytes);
        match &mut self.offsets {
            OffsetBuffer::Small(offsets) => make_room(offsets, values),
            OffsetBuffer::Large(offsets) => make_room(offsets, values),
        }
    }

    pub(in crate::scan) fn reserve(&mut self, rows: usize) {
        match &mut self.offsets {
            OffsetBuffer::Small(offsets) => offsets.reserve(rows),
            OffsetBuffer::Large(offsets) => offsets.reserve(rows),
        }
    }
}
