//! Summaries of groups of rows.

use std::fmt;

use super::column::Data;
use super::key_index::{KeyIndex, is_same_key};
use super::{ColumnBuffer, Summary};
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
    /// Numbers of the groups by their keys.
    numbers: KeyIndex,
    groups: Vec<Group>,
    /// Numbers of columns of keys and of values, from the first call.
    widths: Option<(usize, usize)>,
    /// Of a batch: the hash of each row's key, and the number of its group.
    hashes: Vec<u64>,
    group_of_row: Vec<usize>,
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

    /// Whether these are the values of the key.
    #[inline(always)]
    fn has_key<'k>(&self, key: impl ExactSizeIterator<Item = ValueRef<'k>>) -> bool {
        self.key.len() == key.len() && self.key.iter().zip(key).all(|(stored, value)| is_same_key(stored, value))
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
        self.find_groups(keys, rows, values.len());
        for (index, column) in values.iter().enumerate() {
            self.add_values(index, column);
        }
        Ok(())
    }

    /// Sets the number of each row's group, and counts the row there. Groups are made for new keys.
    fn find_groups(&mut self, keys: &[&ColumnBuffer], rows: usize, summaries: usize) {
        let mut hashes = std::mem::take(&mut self.hashes);
        self.numbers.hash_rows(keys, rows, &mut hashes);
        self.group_of_row.clear();
        let of_one_type = match keys {
            [column] if column.null_count() == 0 => Some(column.data()),
            _ => None,
        };
        match of_one_type {
            Some(Data::Text(texts)) => {
                self.find_each(keys, &hashes, summaries, |group, row| match (&*group.key, texts.get(row)) {
                    ([StoredValue::Text(key)], Some(text)) => **key == *text,
                    _ => false,
                });
            }
            Some(Data::Integer(integers)) => {
                self.find_each(keys, &hashes, summaries, |group, row| match (&*group.key, integers.get(row)) {
                    ([stored], Some(&integer)) => is_same_key(stored, ValueRef::Integer(integer)),
                    _ => false,
                });
            }
            _ => self.find_each(keys, &hashes, summaries, |group, row| {
                group.has_key(keys.iter().map(|column| value(column, row)))
            }),
        }
        self.hashes = hashes;
    }

    #[inline(always)]
    fn find_each(
        &mut self,
        keys: &[&ColumnBuffer],
        hashes: &[u64],
        summaries: usize,
        is_of: impl Fn(&Group, usize) -> bool,
    ) {
        for (row, &hash) in hashes.iter().enumerate() {
            let found = self.numbers.find(hash, |number| is_of(&self.groups[number], row));
            let number =
                found.unwrap_or_else(|| self.insert(hash, keys.iter().map(|key| value(key, row).into()), summaries));
            self.groups[number].rows += 1;
            self.group_of_row.push(number);
        }
    }

    /// Adds each value of a column to the summary with this index, of its row's group.
    fn add_values(&mut self, index: usize, column: &ColumnBuffer) {
        match column.data() {
            Data::Integer(values) if column.null_count() == 0 => {
                for (&value, &number) in values.iter().zip(&self.group_of_row) {
                    self.groups[number].summaries[index].add_integer(value);
                }
            }
            Data::Real(values) if column.null_count() == 0 => {
                for (&value, &number) in values.iter().zip(&self.group_of_row) {
                    self.groups[number].summaries[index].add_real(value);
                }
            }
            _ => {
                for (value, &number) in column.iter().zip(&self.group_of_row) {
                    self.groups[number].summaries[index].add_value(value);
                }
            }
        }
    }

    /// Makes a group, and returns its number.
    #[cold]
    fn insert(&mut self, hash: u64, key: impl Iterator<Item = StoredValue>, summaries: usize) -> usize {
        self.numbers.insert(hash);
        self.groups.push(Group { key: key.collect(), rows: 0, summaries: vec![Summary::default(); summaries].into() });
        self.groups.len() - 1
    }

    /// Returns the number of the group with this key; `None` if there is none.
    fn find(&self, hash: u64, key: &[ValueRef<'_>]) -> Option<usize> {
        self.numbers.find(hash, |number| self.groups[number].has_key(key.iter().copied()))
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
            let key: Vec<_> = group.key.iter().map(StoredValue::as_value_ref).collect();
            let hash = self.numbers.hash(key.iter().copied());
            let number = match self.find(hash, &key) {
                Some(number) => number,
                None => self.insert(hash, key.iter().map(|&value| value.into()), widths.1),
            };
            let into = &mut self.groups[number];
            into.rows += group.rows;
            into.summaries.iter_mut().zip(group.summaries).for_each(|(summary, other)| summary.merge(other));
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
        let hash = self.numbers.hash(key.iter().copied());
        self.find(hash, key).map(|number| &self.groups[number])
    }
}

#[inline(always)]
fn value(column: &ColumnBuffer, row: usize) -> ValueRef<'_> {
    column.value(row).unwrap_or(ValueRef::Null)
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
