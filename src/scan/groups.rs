//! Summaries of groups of rows.

use std::collections::HashMap;
use std::fmt;

use super::{ColumnBuffer, Summary};
use crate::convert::exact_f64;
use crate::error::{Error, ErrorKind, Result};
use crate::value::{StoredValue, ValueRef};

/// Summaries of the rows that have equal keys: `GROUP BY`.
///
/// As in SQLite, NULL is a key, an integer and a real
/// of the same value are equal, and texts are equal if their bytes are.
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
/// let south = &sales.groups()[0];
/// assert_eq!(south.key(0), Some(ValueRef::Text(b"south")));
/// assert_eq!((south.rows(), south.summaries()[0].mean()), (500, Some(499.0)));
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

/// A group of rows that have equal keys. From [`Groups::groups`].
#[derive(Clone)]
pub struct Group {
    key: Box<[StoredValue]>,
    rows: u64,
    summaries: Box<[Summary]>,
}

impl Group {
    /// Returns the value of a column of the key, 0-based, as the first row has it; `None` if there is no such column.
    #[must_use]
    pub fn key(&self, column: usize) -> Option<ValueRef<'_>> {
        self.key.get(column).map(StoredValue::as_value_ref)
    }

    /// Number of rows: `count(*)`.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The summaries of the columns of values, in their order.
    #[must_use]
    pub fn summaries(&self) -> &[Summary] {
        &self.summaries
    }
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
        if rows > 0 {
            self.widths = Some(widths);
        }
        for row in 0..rows {
            self.encoded.clear();
            for key in keys {
                encode(value(key, row), &mut self.encoded);
            }
            let number = match self.numbers.get(&*self.encoded) {
                Some(&number) => number,
                None => self.insert(Group {
                    key: keys.iter().map(|key| value(key, row).into()).collect(),
                    rows: 0,
                    summaries: vec![Summary::default(); values.len()].into(),
                }),
            };
            let group = &mut self.groups[number];
            group.rows += 1;
            for (summary, column) in group.summaries.iter_mut().zip(values) {
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
                    let into = &mut self.groups[number];
                    into.rows += group.rows;
                    into.summaries.iter_mut().zip(group.summaries).for_each(|(summary, other)| summary.merge(other));
                }
                None => drop(self.insert(group)),
            }
        }
    }

    /// The groups, in the order in which their first rows were added.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The group with this key; `None` if there is none.
    #[must_use]
    pub fn get(&self, key: &[ValueRef<'_>]) -> Option<&Group> {
        let mut encoded = Vec::new();
        key.iter().for_each(|value| encode(*value, &mut encoded));
        self.numbers.get(&*encoded).map(|&number| &self.groups[number])
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

/// Shows the number of rows, but no values.
impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("rows", &self.rows).finish_non_exhaustive()
    }
}
