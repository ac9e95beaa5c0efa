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
    /// Adds rows, at least one, behind those that were added.
    pub(super) fn push(&mut self, rows: Range<usize>) {
        let (first, last) = (rows.start / 8, (rows.end - 1) / 8);
        self.validity.resize(last + 1, 0xff);
        let (from_first, to_last) = (0xff_u8 << (rows.start % 8), 0xff_u8 >> (7 - (rows.end - 1) % 8));
        if first == last {
            self.validity[first] &= !(from_first & to_last);
        } else {
            self.validity[first] &= !from_first;
            self.validity[first + 1..last].fill(0);
            self.validity[last] &= !to_last;
        }
        self.count += rows.len();
    }

    /// Appends the NULLs of some rows of another column, from this row on.
    pub(super) fn append(&mut self, row: usize, other: &Self, range: Range<usize>) {
        if other.count > 0 {
            for (index, _) in range.enumerate().filter(|&(_, from)| other.contains(from)) {
                self.push(row + index..row + index + 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_rows_one_by_one() {
        for start in 0..20 {
            for end in start + 1..40 {
                for more in 1..10 {
                    let mut nulls = Nulls::default();
                    nulls.push(start..end);
                    nulls.push(end + more..end + more + 1);
                    let expected = |row| (start..end).contains(&row) || row == end + more;
                    assert!((0..60).all(|row| nulls.contains(row) == expected(row)), "{start} {end} {more}");
                    assert_eq!(nulls.count, end - start + 1);
                }
            }
        }
    }
}
