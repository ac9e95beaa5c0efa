//! Summaries of groups of rows.

use std::collections::HashMap;
use std::fmt;

use super::{ColumnBuffer, Summary};
use crate::convert::exact_f64;
use crate::error::{Error, ErrorKind, Result};
use crate::value::{StoredValue, ValueRef};

/// Summaries of the rows that have equal keys: `GROUP BY`.
///
/// The groups are in the order in which their first rows were added. As in SQLite, NULL is a key, an integer and a real
/// of the same value are equal, and texts are equal if their bytes are (the collation `BINARY`).
///
/// # Example
///
/// ```
/// use finalite::{Connection, ValueRef, scan::Groups};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("shop.db");
/// let conn = Connection::open(&path)?;
/// conn.execute_batch(
///     "CREATE TABLE sale(region TEXT, price REAL);
///      WITH RECURSIVE i(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < 999)
///      INSERT INTO sale SELECT iif(n % 2, 'north', 'south'), n FROM i;",
/// )?;
///
/// let sales = conn.scan_table("sale").select(["region", "price"]).partitions(2).fold_batches(
///     4096,
///     Groups::default,
///     |sales, batch| sales.add(&[batch.column("region")?], &[batch.column("price")?]),
///     Groups::merge,
/// )?;
/// let means: Vec<_> = sales.iter().map(|(key, prices)| (key[0], prices[0].mean())).collect();
/// assert_eq!(means, [(ValueRef::Text(b"south"), Some(499.0)), (ValueRef::Text(b"north"), Some(500.0))]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Groups {
    /// Number of the group of a key, by the bytes that [`encode`] makes of it.
    numbers: HashMap<Box<[u8]>, usize>,
    groups: Vec<Group>,
    /// Numbers of columns of keys and of values, from the first call.
    widths: Option<(usize, usize)>,
    /// The bytes of a key.
    encoded: Vec<u8>,
}

#[derive(Clone)]
struct Group {
    key: Box<[StoredValue]>,
    summaries: Box<[Summary]>,
}

impl Groups {
    /// Adds rows, of which the first columns have the keys, and the others the values. All are of one batch.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] if the columns have different numbers of rows, or if there are other numbers of columns than
    /// before. No row has been added then.
    pub fn add(&mut self, keys: &[&ColumnBuffer], values: &[&ColumnBuffer]) -> Result<()> {
        let rows = keys.iter().chain(values).map(|column| column.len()).max().unwrap_or(0);
        if keys.iter().chain(values).any(|column| column.len() != rows) {
            return Err(Error::new(ErrorKind::Misuse { reason: "the columns have different numbers of rows" }));
        }
        let widths = (keys.len(), values.len());
        if self.widths.is_some_and(|before| before != widths) {
            return Err(Error::new(ErrorKind::Misuse { reason: "the groups have other numbers of columns" }));
        }
        self.widths = Some(widths);
        for row in 0..rows {
            self.encoded.clear();
            for key in keys {
                encode(value(key, row), &mut self.encoded);
            }
            let number = match self.numbers.get(&*self.encoded) {
                Some(&number) => number,
                None => self.insert(Group {
                    key: keys.iter().map(|key| value(key, row).into()).collect(),
                    summaries: vec![Summary::default(); values.len()].into(),
                }),
            };
            for (summary, column) in self.groups[number].summaries.iter_mut().zip(values) {
                summary.add_value(value(column, row));
            }
        }
        Ok(())
    }

    /// Adds a group whose key is encoded, and returns its number.
    fn insert(&mut self, group: Group) -> usize {
        let number = self.groups.len();
        self.numbers.insert(self.encoded.as_slice().into(), number);
        self.groups.push(group);
        number
    }

    /// Adds the rows of other groups.
    ///
    /// # Panics
    ///
    /// If both have rows, and have different numbers of columns.
    pub fn merge(&mut self, other: Self) {
        let Some(widths) = other.widths else {
            return;
        };
        assert_eq!(*self.widths.get_or_insert(widths), widths, "columns of keys and of values");
        for group in other.groups {
            self.encoded.clear();
            group.key.iter().for_each(|value| encode(value.as_value_ref(), &mut self.encoded));
            match self.numbers.get(&*self.encoded) {
                Some(&number) => {
                    let summaries = self.groups[number].summaries.iter_mut();
                    summaries.zip(group.summaries).for_each(|(summary, other)| summary.merge(other));
                }
                None => drop(self.insert(group)),
            }
        }
    }

    /// Number of groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are no groups.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The key of each group, as its first row has it, and the summaries of its values, in the order of their columns.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Vec<ValueRef<'_>>, &[Summary])> {
        self.groups.iter().map(|group| (group.key.iter().map(StoredValue::as_value_ref).collect(), &*group.summaries))
    }

    /// The summaries of the group with this key.
    #[must_use]
    pub fn get(&self, key: &[ValueRef<'_>]) -> Option<&[Summary]> {
        let mut encoded = Vec::new();
        key.iter().for_each(|value| encode(*value, &mut encoded));
        let number = *self.numbers.get(&*encoded)?;
        Some(&self.groups[number].summaries)
    }
}

#[inline(always)]
fn value(column: &ColumnBuffer, row: usize) -> ValueRef<'_> {
    column.value(row).unwrap_or(ValueRef::Null)
}

/// Appends bytes that are equal if and only if the values are equal.
fn encode(value: ValueRef<'_>, to: &mut Vec<u8>) {
    let (class, number) = match value {
        ValueRef::Null => (0, 0),
        ValueRef::Integer(value) => match exact_f64(value) {
            Some(value) => (2, value.to_bits()),
            None => (1, value.cast_unsigned()),
        },
        // -0.0 equals 0.0.
        ValueRef::Real(value) => (2, (value + 0.0).to_bits()),
        ValueRef::Text(text) => (3, text.len() as u64),
        ValueRef::Blob(blob) => (4, blob.len() as u64),
    };
    to.push(class);
    to.extend(number.to_le_bytes());
    if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = value {
        to.extend(bytes);
    }
}

/// Shows the number of groups, but no values, which may be confidential.
impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("groups", &self.groups.len()).finish_non_exhaustive()
    }
}
