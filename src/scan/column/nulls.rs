//! NULLs of a column.

use std::ops::Range;

/// The rows that are NULL. Uses no memory while there is none, and then one bit for each row.
#[derive(Clone, Debug, Default)]
pub(super) struct Nulls {
    /// One bit for each row, 1 for a value, lowest bit first; rows beyond its end have values.
    pub(super) validity: Vec<u8>,
    pub(super) count: usize,
}

impl Nulls {
    #[inline]
    pub(super) fn push(&mut self, row: usize) {
        let byte = row / 8;
        if byte >= self.validity.len() {
            self.validity.resize(byte + 1, 0xff);
        }
        self.validity[byte] &= !(1 << (row % 8));
        self.count += 1;
    }

    /// Appends the NULLs of some rows of another column, from this row on.
    pub(super) fn append(&mut self, row: usize, other: &Self, range: Range<usize>) {
        if other.count > 0 {
            for (index, _) in range.enumerate().filter(|&(_, from)| other.contains(from)) {
                self.push(row + index);
            }
        }
    }

    pub(super) fn contains(&self, row: usize) -> bool {
        self.validity.get(row / 8).is_some_and(|byte| byte & (1 << (row % 8)) == 0)
    }

    pub(super) fn into_validity(self) -> Option<Vec<u8>> {
        (self.count > 0).then_some(self.validity)
    }

    pub(super) fn clear(&mut self) {
        self.validity.clear();
        self.count = 0;
    }
}
