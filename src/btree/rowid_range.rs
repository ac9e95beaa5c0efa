//! Ranges of rowids, as conditions on the rowid limit them.

use std::cmp::Ordering;

use super::condition::{Constant, number_of};
use crate::value::{Value, compare_integer};

/// Consecutive rowids, the last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowidRange {
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// The key that SQLite looks for at the beginning; `None` if it begins with the first row of the table.
    pub(crate) seek: Option<RowidSeek>,
}

/// A search for the first row that is not before a key, or for the first after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowidSeek {
    pub(crate) key: i64,
    pub(crate) is_exclusive: bool,
}

impl RowidSeek {
    /// Whether a row is before those that are looked for.
    pub(crate) fn is_before(self, rowid: i64) -> bool {
        rowid < self.key || self.is_exclusive && rowid == self.key
    }
}

impl RowidRange {
    pub(crate) const ALL: Self = Self::new(i64::MIN, i64::MAX);
    const EMPTY: Self = Self::new(i64::MAX, i64::MIN);

    pub(crate) const fn new(first: i64, last: i64) -> Self {
        Self { first, last, seek: None }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.first > self.last
    }

    /// Number of rowids; one less for all of them.
    pub(crate) fn len(self) -> u64 {
        if self.is_empty() { 0 } else { self.last.abs_diff(self.first).saturating_add(1) }
    }
}

/// A bound of a range.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RowidBound {
    pub(crate) value: Constant,
    /// Whether the range has no row with this rowid.
    pub(crate) is_exclusive: bool,
}

/// The bounds of a range, whose values may be parameters; `None` where there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RowidBounds {
    pub(crate) first: Option<RowidBound>,
    pub(crate) last: Option<RowidBound>,
}

impl RowidBounds {
    /// Returns the range for these values of the parameters; `None` if one is missing, or if a bound is a text that
    /// SQLite might convert in a way that is not done here.
    pub(crate) fn range(&self, values: &[Value]) -> Option<RowidRange> {
        let mut range = RowidRange::ALL;
        for (bound, is_first) in [(&self.first, true), (&self.last, false)] {
            let Some(RowidBound { value, is_exclusive }) = bound else {
                continue;
            };
            let value = match value {
                Constant::Value(value) => value,
                Constant::Parameter(number) => values.get(number.checked_sub(1)?)?,
            };
            // Among the integers that are in the relation to the bound, the one next to it.
            let rowid = match (value, is_first) {
                (Value::Null, _) => None,
                (Value::Integer(number), _) => nearest(|rowid| rowid.cmp(number), is_first, *is_exclusive),
                (Value::Real(number), _) => nearest(|rowid| compare_integer(rowid, *number), is_first, *is_exclusive),
                (Value::Text(text), _) => match (number_of(text)?, is_first) {
                    (Some(number), _) => nearest(|rowid| rowid.cmp(&number), is_first, *is_exclusive),
                    // All numbers are before texts and blobs.
                    (None, true) => None,
                    (None, false) => Some(i64::MAX),
                },
                (Value::Blob(_), true) => None,
                (Value::Blob(_), false) => Some(i64::MAX),
            };
            match rowid {
                Some(rowid) if is_first => {
                    range.first = rowid;
                    range.seek = Some(seek(value, *is_exclusive, rowid));
                }
                Some(rowid) => range.last = rowid,
                None => return Some(RowidRange::EMPTY),
            }
        }
        Some(range)
    }
}

/// Returns the search by which SQLite finds the first row of a range: a real is cut to an integer, and the relation follows
/// from what is cut off.
fn seek(bound: &Value, is_exclusive: bool, first: i64) -> RowidSeek {
    let is_cut_down = matches!(bound, Value::Real(real) if real.fract() > 0.0);
    let is_integer = !matches!(bound, Value::Real(real) if real.fract() != 0.0);
    match (is_integer && is_exclusive || is_cut_down, first.checked_sub(1)) {
        (true, Some(key)) => RowidSeek { key, is_exclusive: true },
        _ => RowidSeek { key: first, is_exclusive: false },
    }
}

/// Returns the first integer that is not less than a bound, or greater than it; or the last one that is not greater, or
/// less. `compare` compares an integer with the bound. Returns `None` if there is none.
fn nearest(compare: impl Fn(i64) -> Ordering, is_first: bool, is_exclusive: bool) -> Option<i64> {
    // Whether an integer is before the place between two integers that is looked for.
    let is_before = |rowid| match compare(rowid) {
        Ordering::Less => true,
        Ordering::Equal => is_first == is_exclusive,
        Ordering::Greater => false,
    };
    // The place is after `low` and before `high`.
    let (mut low, mut high) = (i64::MIN, i64::MAX);
    match (is_before(low), is_before(high)) {
        (false, _) => return is_first.then_some(low),
        (true, true) => return (!is_first).then_some(high),
        (true, false) => {}
    }
    while low + 1 < high {
        let middle = low.midpoint(high);
        if is_before(middle) { low = middle } else { high = middle }
    }
    Some(if is_first { high } else { low })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: Option<(Value, bool)>, last: Option<(Value, bool)>) -> Option<(i64, i64)> {
        let bound = |(value, is_exclusive)| RowidBound { value: Constant::Value(value), is_exclusive };
        let bounds = RowidBounds { first: first.map(bound), last: last.map(bound) };
        bounds.range(&[]).map(|range| (range.first, range.last))
    }

    #[test]
    fn a_bound_is_the_nearest_integer() {
        const EMPTY: (i64, i64) = (i64::MAX, i64::MIN);
        const BIG: i64 = 1 << 62;
        for (value, first, after, last, before) in [
            (Value::Integer(5), 5, 6, 5, 4),
            (Value::Real(5.0), 5, 6, 5, 4),
            (Value::Real(5.5), 6, 6, 5, 5),
            (Value::Real(-5.5), -5, -5, -6, -6),
            (Value::Real(0.5), 1, 1, 0, 0),
            (Value::Real(4_611_686_018_427_387_904.0), BIG, BIG + 1, BIG, BIG - 1),
            (Value::Text("7".to_owned()), 7, 8, 7, 6),
        ] {
            assert_eq!(range(Some((value.clone(), false)), None), Some((first, i64::MAX)), "{value:?}");
            assert_eq!(range(Some((value.clone(), true)), None), Some((after, i64::MAX)), "{value:?}");
            assert_eq!(range(None, Some((value.clone(), false))), Some((i64::MIN, last)), "{value:?}");
            assert_eq!(range(None, Some((value.clone(), true))), Some((i64::MIN, before)), "{value:?}");
        }
        for value in [Value::Real(f64::INFINITY), Value::Real(1e300), Value::Text("a".into()), Value::Blob(vec![])] {
            assert_eq!(range(Some((value.clone(), false)), None), Some(EMPTY), "{value:?}");
            assert_eq!(range(None, Some((value.clone(), true))), Some((i64::MIN, i64::MAX)), "{value:?}");
        }
        assert_eq!(range(Some((Value::Integer(i64::MAX), true)), None), Some(EMPTY));
        assert_eq!(range(None, Some((Value::Integer(i64::MIN), true))), Some(EMPTY));
        assert_eq!(range(None, Some((Value::Real(-1e300), false))), Some(EMPTY));
        assert_eq!(range(None, Some((Value::Null, false))), Some(EMPTY));
        for text in ["5.0", " 5", "05", "+5", "1e3"] {
            assert_eq!(range(Some((Value::Text(text.to_owned()), false)), None), None, "{text}");
        }
    }

    #[test]
    fn a_length_does_not_overflow() {
        assert_eq!(RowidRange::ALL.len(), u64::MAX);
        assert_eq!(RowidRange::EMPTY.len(), 0);
        assert_eq!(RowidRange::new(-1, 1).len(), 3);
    }
}
