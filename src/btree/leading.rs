//! Tests at the beginning of a condition that need one value of the record.
//!
//! Most rows are rejected by the first of them, so that they are looked for in a loop of its own: it locates the value by
//! the bytes of the cell, and decodes nothing else. What is not as in most records (a length or a serial type of several
//! bytes, a record that continues on other pages, a value of another type) is left to the decoding of the row.

use std::ops::Range;

use super::cells::{ColumnSource, bits};
use super::condition::{Comparison, ConditionStep, Constant, Operand, Target, Test};
use super::format::{BYTES_BY_SERIAL, read_u16};
use super::tree::SLACK_BYTES;
use super::value_set::ValueSet;
use crate::value::{Relation, Value, ValueRef, to_f64};

/// A test that rejects a row if it is true.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LeadingTest {
    /// Index of the value in the record.
    place: usize,
    /// Whether integers are read as reals.
    is_real: bool,
    kind: LeadingKind,
    relation: Relation,
    is_true_for_null: bool,
}

/// Constant of a comparison.
#[derive(Clone, Debug, PartialEq)]
enum LeadingKind {
    IsNull,
    IsNotNull,
    Integer(i64),
    Real(f64),
    Text(String),
    /// Values of which it is none.
    NoneOf(ValueSet),
}

/// A cell that no leading test rejects.
#[derive(Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) cell: usize,
    /// Whether the row is known to meet the condition.
    pub(crate) is_wanted: bool,
}

/// Candidates among up to 64 cells of a leaf page.
#[derive(Clone, Copy, Default)]
pub(super) struct Candidates {
    first: usize,
    /// A bit for each cell from the first one on.
    bits: u64,
    /// Those that are known to meet the condition.
    wanted: u64,
}

impl Candidates {
    pub(super) const CELLS: usize = 64;

    /// Returns those of up to 64 cells that none of these tests of a condition rejects. `are_all` says that the condition
    /// has no others.
    #[inline(never)]
    pub(super) fn select(
        cells: Range<usize>,
        (tests, are_all): (&[LeadingTest], bool),
        records: &LeafRecords<'_>,
    ) -> Self {
        let all = u64::MAX >> (Self::CELLS - cells.len().clamp(1, Self::CELLS));
        let all = Self { first: cells.start, bits: all, wanted: if are_all { all } else { 0 } };
        tests.iter().fold(all, |candidates, test| test.narrow(candidates, records))
    }

    /// Removes those whose result is `Some(true)`. Of the others, those stay wanted whose result is `Some(false)`.
    #[inline(always)]
    fn narrow(mut self, test: impl Fn(usize) -> Option<bool>) -> Self {
        let mut left = self.bits;
        // No jump depends on the result.
        while left != 0 {
            let bit = left.trailing_zeros();
            left &= left - 1;
            let result = test(self.first + bit as usize);
            self.bits &= !(u64::from(result == Some(true)) << bit);
            self.wanted &= !(u64::from(result != Some(false)) << bit);
        }
        self
    }

    /// Removes and returns the first one.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<Candidate> {
        if self.bits == 0 {
            return None;
        }
        let bit = self.bits.trailing_zeros();
        self.bits &= self.bits - 1;
        Some(Candidate { cell: self.first + bit as usize, is_wanted: self.wanted >> bit & 1 == 1 })
    }
}

/// The records of a leaf page.
pub(super) struct LeafRecords<'page> {
    /// The page, followed by [`SLACK_BYTES`].
    pub(super) page: &'page [u8],
    /// Offset of the first cell pointer.
    pub(super) pointers: usize,
    /// Offset at which cells begin.
    pub(super) content: usize,
    /// Number of bytes before a payload's length in an index, where no rowid follows it; `None` in a table.
    pub(super) child_bytes: Option<usize>,
    /// Largest payload that is on the page as a whole, and is decoded.
    pub(super) payload_max: usize,
    /// Last rowid of the range that is read.
    pub(super) last: i64,
}

/// A record whose length takes up to two bytes, and whose rowid up to eight.
struct ShortRecord<'page> {
    /// The record, followed by [`SLACK_BYTES`].
    bytes: &'page [u8],
    len: usize,
}

/// A value of a record: its serial type, and its bytes with those that follow.
#[derive(Clone, Copy)]
struct LocatedValue<'page> {
    serial: u8,
    bytes: &'page [u8],
}

impl<'page> LeafRecords<'page> {
    /// Returns the record of a cell; `None` if it has another form, or is behind the range.
    #[inline(always)]
    fn record(&self, cell: usize) -> Option<ShortRecord<'page>> {
        let pointer = read_u16(self.page, self.pointers + 2 * cell)?;
        if pointer < self.content {
            return None;
        }
        let head = pointer + self.child_bytes.unwrap_or(0);
        let &[first, second, ref rest @ ..] = self.page.get(head..)?.first_chunk::<10>()?;
        let rest = u64::from_le_bytes(*rest);
        let (len, after, rowid) = match (first, second) {
            (0..0x80, _) => (usize::from(first), head + 1, rest << 8 | u64::from(second)),
            (_, 0..0x80) => (usize::from(first & 0x7f) << 7 | usize::from(second), head + 2, rest),
            _ => return None,
        };
        let start = match self.child_bytes {
            Some(_) => after,
            None => after + self.rowid_bytes(rowid)?,
        };
        if len > self.payload_max {
            return None;
        }
        Some(ShortRecord { bytes: self.page.get(start..start + len + SLACK_BYTES)?, len })
    }

    /// Returns the length of a rowid, of which the first byte is the lowest of `bytes`.
    #[inline(always)]
    fn rowid_bytes(&self, bytes: u64) -> Option<usize> {
        // The last byte has the highest bit clear.
        let ends = !bytes & 0x8080_8080_8080_8080;
        let count = ends.trailing_zeros() as usize / 8 + 1;
        let is_behind = || {
            let rowid = (0..count).fold(0, |value, byte| value << 7 | (bytes >> (8 * byte)).cast_signed() & 0x7f);
            rowid > self.last
        };
        (ends != 0 && (self.last == i64::MAX || !is_behind())).then_some(count)
    }

    /// Returns a value of the record of a cell; `None` if one of them has another form.
    #[inline(always)]
    fn value(&self, cell: usize, place: usize) -> Option<LocatedValue<'page>> {
        self.record(cell)?.value(place)
    }
}

impl<'page> ShortRecord<'page> {
    /// Returns the value at this place; `None` if it has another form or is missing, or the record is malformed up to
    /// it.
    #[inline(always)]
    fn value(&self, place: usize) -> Option<LocatedValue<'page>> {
        let header = usize::from(*self.bytes.first()?);
        if header >= 0x80 || place + 1 >= header {
            return None;
        }
        let (&serial, before) = self.bytes.get(1..place + 2)?.split_last()?;
        let (mut seen, mut at) = (serial, header);
        for &serial in before {
            seen |= serial;
            at += usize::from(BYTES_BY_SERIAL[usize::from(serial & 0x7f)]);
        }
        let end = at + usize::from(BYTES_BY_SERIAL[usize::from(serial & 0x7f)]);
        // A record that ends with this value is as long as its header says.
        let is_last = header == place + 2;
        if seen >= 0x80 || end > self.len || is_last && end != self.len {
            return None;
        }
        Some(LocatedValue { serial, bytes: self.bytes.get(at..)? })
    }
}

impl<'page> LocatedValue<'page> {
    #[inline(always)]
    fn integer(self) -> Option<i64> {
        match self.serial {
            1..=6 => Some(bits(self.bytes, self.serial.into(), 0)),
            8 | 9 => Some(i64::from(self.serial - 8)),
            _ => None,
        }
    }

    /// Reads the value as a real. SQLite reads NaN as NULL.
    #[inline(always)]
    fn real(self) -> f64 {
        f64::from_bits(bits(self.bytes, 7, 0).cast_unsigned())
    }

    #[inline(always)]
    fn text(self) -> Option<&'page [u8]> {
        match self.serial {
            13.. if self.serial % 2 == 1 => self.bytes.get(..usize::from(BYTES_BY_SERIAL[usize::from(self.serial)])),
            _ => None,
        }
    }
}

/// The integers that are in a relation to a constant.
#[derive(Clone, Copy)]
struct Integers {
    /// The first, and the number of those that follow it.
    first: i64,
    others: u64,
    /// Whether it is all the other integers.
    is_rest: bool,
}

impl Integers {
    fn of(relation: Relation, constant: i64) -> Self {
        let (first, last, is_rest) = match relation {
            Relation::Equal | Relation::Is => (constant, constant, false),
            Relation::NotEqual | Relation::IsNot => (constant, constant, true),
            Relation::LessOrEqual => (i64::MIN, constant, false),
            Relation::Greater => (i64::MIN, constant, true),
            Relation::GreaterOrEqual => (constant, i64::MAX, false),
            Relation::Less => (constant, i64::MAX, true),
        };
        Self { first, others: last.abs_diff(first), is_rest }
    }

    #[inline(always)]
    fn contain(self, integer: i64) -> bool {
        (integer.wrapping_sub(self.first).cast_unsigned() <= self.others) != self.is_rest
    }
}

impl LeadingTest {
    /// Returns the test of a step; `None` if it does not reject a row alone, or needs other values.
    pub(super) fn of(
        step: &ConditionStep,
        constants: &[Constant],
        sets: &[ValueSet],
        sources: &[ColumnSource],
    ) -> Option<Self> {
        if step.target != Target::Reject {
            return None;
        }
        let (source, constant, relation, is_true_for_null) = match step.test {
            Test::IsNull(Operand::Source(source)) => (source, None, Relation::Equal, true),
            Test::IsNotNull(Operand::Source(source)) => (source, None, Relation::NotEqual, false),
            // NULL is none of them.
            Test::IsNoneOf(Operand::Source(source), _) => (source, None, Relation::NotEqual, true),
            Test::Compare(Comparison {
                left: Operand::Source(source),
                relation,
                right: Operand::Constant(right),
                is_true_for_null,
                ..
            }) => (source, Some(&constants[right]), relation, is_true_for_null || relation == Relation::IsNot),
            _ => return None,
        };
        let ColumnSource::Stored { place, is_real, .. } = *sources.get(source)? else {
            return None;
        };
        let kind = match (constant, step.test) {
            (None, Test::IsNull(_)) => LeadingKind::IsNull,
            (None, Test::IsNoneOf(_, list)) => LeadingKind::NoneOf(sets[list].clone()),
            (None, _) => LeadingKind::IsNotNull,
            (Some(Constant::Value(Value::Integer(constant))), _) if !is_real => LeadingKind::Integer(*constant),
            (Some(Constant::Value(Value::Real(constant))), _) => LeadingKind::Real(*constant),
            // An integer that a real can be equal to.
            (Some(Constant::Value(Value::Integer(constant))), _) if constant.unsigned_abs() <= 1 << 53 => {
                LeadingKind::Real(to_f64(*constant))
            }
            (Some(Constant::Value(Value::Text(constant))), Test::Compare(comparison)) if comparison.is_of_bytes() => {
                LeadingKind::Text(constant.clone())
            }
            _ => return None,
        };
        Some(Self { place, is_real, kind, relation, is_true_for_null })
    }

    /// Removes the cells that the test rejects.
    #[inline(always)]
    fn narrow(&self, candidates: Candidates, records: &LeafRecords<'_>) -> Candidates {
        let place = self.place;
        // A loop for each kind.
        match self.kind {
            LeadingKind::Integer(constant) => {
                let integers = Integers::of(self.relation, constant);
                let test = |value: LocatedValue<'_>| match value.integer() {
                    Some(integer) => Some(integers.contain(integer)),
                    None => (value.serial == 0).then_some(self.is_true_for_null),
                };
                candidates.narrow(|cell| records.value(cell, place).and_then(test))
            }
            LeadingKind::Real(constant) => {
                let test = |value: LocatedValue<'_>| match value.serial {
                    7 => Some(self.relation.holds(value.real().partial_cmp(&constant)?)),
                    _ => self.test(value),
                };
                candidates.narrow(|cell| records.value(cell, place).and_then(test))
            }
            _ => candidates.narrow(|cell| records.value(cell, place).and_then(|value| self.test(value))),
        }
    }

    /// Returns the result for a value, but for what [`narrow`](Self::narrow) has a loop for; `None` if it is not certain.
    #[inline]
    fn test(&self, value: LocatedValue<'_>) -> Option<bool> {
        let ordering = match (&self.kind, value.serial) {
            (LeadingKind::IsNull, 0) | (LeadingKind::IsNotNull, 1..=6 | 8 | 9 | 12..) => return Some(true),
            (LeadingKind::IsNotNull, 0) | (LeadingKind::IsNull, 1..=6 | 8 | 9 | 12..) => return Some(false),
            (_, 0) => return Some(self.is_true_for_null),
            (LeadingKind::Real(constant), _) if self.is_real => to_f64(value.integer()?).partial_cmp(constant)?,
            (LeadingKind::Text(constant), _) => value.text()?.cmp(constant.as_bytes()),
            (LeadingKind::NoneOf(set), _) => {
                let integer = value.integer().filter(|_| !self.is_real).map(ValueRef::Integer);
                return Some(!set.contains(integer.or_else(|| value.text().map(ValueRef::Text))?));
            }
            _ => return None,
        };
        Some(self.relation.holds(ordering))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_integers_is_the_relation() {
        let integers = [i64::MIN, i64::MIN + 1, -1, 0, 1, 7, i64::MAX - 1, i64::MAX];
        for relation in [
            Relation::Equal,
            Relation::NotEqual,
            Relation::Less,
            Relation::LessOrEqual,
            Relation::Greater,
            Relation::GreaterOrEqual,
            Relation::Is,
            Relation::IsNot,
        ] {
            for constant in integers {
                for integer in integers {
                    let is_in = Integers::of(relation, constant).contain(integer);
                    assert_eq!(is_in, relation.holds(integer.cmp(&constant)), "{integer} {relation:?} {constant}");
                }
            }
        }
    }

    #[test]
    fn candidates_are_listed_in_order() {
        let test = |cell| match cell % 3 {
            0 => Some(true),
            1 => Some(false),
            _ => None,
        };
        for end in [31, 32, 93, 94] {
            let records =
                LeafRecords { page: &[], pointers: 0, content: 0, child_bytes: None, payload_max: 0, last: 0 };
            let mut candidates = Candidates::select(30..end, (&[], true), &records).narrow(test);
            let listed =
                std::iter::from_fn(|| candidates.next()).map(|candidate| (candidate.cell, candidate.is_wanted));
            let expected = (30..end).filter(|cell| cell % 3 > 0).map(|cell| (cell, cell % 3 == 1));
            assert!(listed.eq(expected), "{end}");
        }
    }
}
