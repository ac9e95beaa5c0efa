//! One column of a batch, with its values in contiguous memory.
//!
//! ```text
//! values     'ab'  NULL  'c'
//! bytes      abc
//! offsets    0 2 2 3             value i is bytes[offsets[i]..offsets[i + 1]]
//! validity   0b101               bit i is 0 where row i is NULL
//! ```
//!
//! Values are contiguous, so that a caller can borrow them as one slice, or take them without a copy. Offsets and
//! validity are laid out as in Arrow. A column of integers or reals has one array instead of bytes and offsets, with 0
//! in place of NULL. A column of several types ([`Dynamic`]) has one cell for each row.
//!
//! Adding a value of the column's type is the fast path, which is inlined into the loop of the scan. Another type,
//! growth and large offsets are in functions that are not inlined. A NULL is only counted: the next value, or the end of
//! the batch, adds all NULLs before it at once. Growing copies all values, so a column reserves room for the expected
//! number of rows if that is known, and otherwise grows in larger steps than `Vec` once it is large.

use std::fmt;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use super::views::{BytesColumn, TextColumn};
use crate::convert::exact_f64;
use crate::error::{Error, ErrorKind, Result};
use crate::pages::Expected;
use crate::raw::ColumnHeads;
use crate::scan::OnTypeMismatch;
use crate::value::{ColumnType, Sink, Type, ValueRef};

mod bytes;
mod dynamic;
mod growth;
mod nulls;

pub(super) use bytes::Bytes;
pub use bytes::{BytesBuffers, OffsetBuffer, Offsets};
use dynamic::Dynamic;
use growth::{append, extend, extend_with, make_room};
use nulls::Nulls;

/// The values of one column, in contiguous memory that can be borrowed.
///
/// NULLs are marked in a bitmap. In their place, the values hold 0 or an empty value.
#[derive(Clone)]
pub struct ColumnBuffer {
    /// Names and declared types, of which `index` is that of the column.
    heads: Arc<ColumnHeads>,
    data: Data,
    /// Number of rows. While rows are added, exact only after [`flush_nulls`](Self::flush_nulls).
    len: usize,
    /// Number of NULLs at the end that are to be added.
    pending: usize,
    nulls: Nulls,
    /// Whether the type is fixed, independent of the first value of a batch: it was declared, or an earlier batch had
    /// values.
    is_settled: bool,
    mixed: OnTypeMismatch,
    /// Number of the first value's row in the result, 0-based.
    first_row: u64,
    /// Number of the column, 0-based.
    index: usize,
}

/// The values, by type.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Null,
    Integer(Vec<i64>),
    Real(Vec<f64>),
    Text(Bytes),
    Blob(Bytes),
    Dynamic(Dynamic),
}

/// Error of a value that does not fit its column, whose type may not change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mismatch {
    pub(super) expected: ColumnType,
    pub(super) found: Type,
}

impl ColumnBuffer {
    /// Creates a column with the type that the declaration in its table promises.
    pub(super) fn affinity(
        index: usize,
        heads: &Arc<ColumnHeads>,
        affinity: ColumnType,
        mixed: OnTypeMismatch,
    ) -> Self {
        Self {
            heads: Arc::clone(heads),
            data: Data::new(affinity),
            len: 0,
            pending: 0,
            nulls: Nulls::default(),
            is_settled: false,
            mixed,
            first_row: 0,
            index,
        }
    }

    /// Creates a column with the type that the caller declares.
    pub(super) fn declared(
        index: usize,
        heads: &Arc<ColumnHeads>,
        declared: ColumnType,
        mixed: OnTypeMismatch,
    ) -> Self {
        Self { is_settled: declared != ColumnType::Null, ..Self::affinity(index, heads, declared, mixed) }
    }

    pub(super) fn reserve(&mut self, rows: usize) {
        self.nulls.validity.reserve(rows.div_ceil(8));
        match &mut self.data {
            Data::Null => {}
            Data::Integer(values) => values.reserve(rows),
            Data::Real(values) => values.reserve(rows),
            Data::Text(values) | Data::Blob(values) => values.reserve(rows),
            Data::Dynamic(values) => values.cells.reserve(rows),
        }
    }

    /// Reserves room for the expected size.
    pub(super) fn expect(&mut self, Expected { rows, bytes }: Expected) {
        let [rows, bytes] = [rows, bytes].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        // If the room cannot be reserved, the column grows as needed.
        match &mut self.data {
            Data::Null | Data::Dynamic(_) => true,
            Data::Integer(values) => make_room(values, rows),
            Data::Real(values) => make_room(values, rows),
            Data::Text(values) | Data::Blob(values) => values.expect(rows, bytes),
        };
    }

    /// Returns a column whose values will be appended to this one. It accepts any type, and starts with the same.
    pub(super) fn part(&self) -> Self {
        Self::affinity(self.index, &self.heads, self.data_type(), OnTypeMismatch::Dynamic)
    }

    /// Appends some values of a part, at least one, with the same result as pushing each. If they are all values of the
    /// part, and a whole batch, they may be moved out of it. An error has the number of the value.
    pub(super) fn append(
        &mut self,
        part: &mut Self,
        range: Range<usize>,
        is_batch: bool,
    ) -> Result<(), (usize, Mismatch)> {
        if is_batch && self.data_type() == part.data_type() {
            mem::swap(&mut self.data, &mut part.data);
            mem::swap(&mut self.nulls, &mut part.nulls);
            self.len = range.len();
            return Ok(());
        }
        match (&mut self.data, &part.data) {
            (Data::Integer(to), Data::Integer(from)) => extend(to, &from[range.clone()]),
            (Data::Real(to), Data::Real(from)) => extend(to, &from[range.clone()]),
            (Data::Text(to), Data::Text(from)) | (Data::Blob(to), Data::Blob(from)) => to.append(from, range.clone()),
            _ => {
                for (number, row) in range.enumerate() {
                    self.push(part.value(row).unwrap_or(ValueRef::Null)).map_err(|mismatch| (number, mismatch))?;
                }
                self.flush_nulls();
                return Ok(());
            }
        }
        self.nulls.append(self.len, &part.nulls, range.clone());
        self.len += range.len();
        Ok(())
    }

    /// Returns an empty column for the next values, with this capacity.
    pub(super) fn successor(&self, room: usize) -> Self {
        let mut next = Self {
            heads: Arc::clone(&self.heads),
            data: Data::new(self.data_type()),
            len: 0,
            pending: 0,
            nulls: Nulls::default(),
            is_settled: self.is_settled || self.nulls.count < self.len,
            mixed: self.mixed,
            first_row: self.first_row + self.len as u64,
            index: self.index,
        };
        next.reserve(room);
        next
    }

    /// Removes the values of a part, and keeps the capacity.
    pub(super) fn forget(&mut self) {
        self.clear();
        self.is_settled = false;
    }

    /// Removes the values, and keeps the capacity.
    pub(super) fn clear(&mut self) {
        self.is_settled |= self.nulls.count < self.len;
        self.first_row += self.len as u64;
        (self.len, self.pending) = (0, 0);
        self.nulls.clear();
        match &mut self.data {
            Data::Null => {}
            Data::Integer(values) => values.clear(),
            Data::Real(values) => values.clear(),
            Data::Text(values) | Data::Blob(values) => values.clear(),
            Data::Dynamic(values) => {
                values.cells.clear();
                values.bytes.clear();
            }
        }
    }

    /// Adds the NULLs of the last rows, and extends the bitmap to them.
    pub(super) fn finish(&mut self) {
        self.flush_nulls();
        if self.nulls.count > 0 {
            self.nulls.validity.resize(self.len.div_ceil(8), 0xff);
        }
    }

    /// Adds a value. A value of another type is passed on as a number or slice, which travels in registers: a
    /// `ValueRef` would be written to memory for each value, also for those that fit.
    #[inline(always)]
    pub(super) fn push(&mut self, value: ValueRef<'_>) -> Result<(), Mismatch> {
        if let ValueRef::Null = value {
            self.pending += 1;
            return Ok(());
        }
        if self.pending > 0 {
            self.flush_nulls();
        }
        match value {
            ValueRef::Integer(value) => match &mut self.data {
                Data::Integer(values) => append(values, value),
                _ => return self.push_other_integer(value),
            },
            ValueRef::Real(value) => match &mut self.data {
                Data::Real(values) => append(values, value),
                _ => return self.push_other_real(value),
            },
            ValueRef::Text(value) => match &mut self.data {
                Data::Text(values) => values.push(value),
                _ => return self.push_other_text(value),
            },
            ValueRef::Blob(value) => match &mut self.data {
                Data::Blob(values) => values.push(value),
                _ => return self.push_other_blob(value),
            },
            ValueRef::Null => {}
        }
        Ok(())
    }

    /// Adds the NULLs that were counted.
    #[inline(never)]
    pub(super) fn flush_nulls(&mut self) {
        self.len = self.data.len().unwrap_or(self.len);
        let count = mem::take(&mut self.pending);
        if count > 0 {
            self.nulls.push(self.len..self.len + count);
            self.data.push_placeholders(count);
            self.len += count;
        }
    }

    #[inline(never)]
    fn push_other_integer(&mut self, value: i64) -> Result<(), Mismatch> {
        self.push_other(ValueRef::Integer(value))
    }

    #[inline(never)]
    fn push_other_real(&mut self, value: f64) -> Result<(), Mismatch> {
        self.push_other(ValueRef::Real(value))
    }

    #[inline(never)]
    fn push_other_text(&mut self, value: &[u8]) -> Result<(), Mismatch> {
        self.push_other(ValueRef::Text(value))
    }

    #[inline(never)]
    fn push_other_blob(&mut self, value: &[u8]) -> Result<(), Mismatch> {
        self.push_other(ValueRef::Blob(value))
    }

    #[inline(never)]
    fn push_other(&mut self, value: ValueRef<'_>) -> Result<(), Mismatch> {
        match (&mut self.data, value) {
            (Data::Dynamic(values), value) => values.push(value),
            (Data::Real(values), ValueRef::Integer(integer)) if self.mixed == OnTypeMismatch::Widen => {
                match exact_f64(integer) {
                    Some(real) => values.push(real),
                    None => return self.push_otherwise(value),
                }
            }
            _ => return self.push_otherwise(value),
        }
        Ok(())
    }

    fn push_otherwise(&mut self, value: ValueRef<'_>) -> Result<(), Mismatch> {
        self.flush_nulls();
        self.make_room_for(value)?;
        self.push(value)
    }

    /// Changes the type of the column so that the value fits.
    #[cold]
    fn make_room_for(&mut self, value: ValueRef<'_>) -> Result<(), Mismatch> {
        let found = value.data_type();
        let expected = self.data_type();
        if self.nulls.count == self.len && !self.is_settled {
            self.change_type(ColumnType::of(found));
            return Ok(());
        }
        let mismatch = Mismatch { expected, found };
        match self.mixed {
            OnTypeMismatch::Dynamic => {
                self.change_type(ColumnType::Dynamic);
                Ok(())
            }
            OnTypeMismatch::Widen => match (&self.data, value) {
                (Data::Integer(values), ValueRef::Real(_)) => {
                    self.data = Data::Real(
                        values.iter().map(|&value| exact_f64(value)).collect::<Option<_>>().ok_or(mismatch)?,
                    );
                    Ok(())
                }
                _ => Err(mismatch),
            },
            OnTypeMismatch::Error => Err(mismatch),
        }
    }

    /// Changes the type of the column. Existing values stay as they are, so the new type must be able to hold them.
    fn change_type(&mut self, to: ColumnType) {
        let mut data = Data::new(to);
        for row in 0..self.len {
            match (&mut data, self.value(row)) {
                (Data::Dynamic(values), Some(value)) => values.push(value),
                _ => data.push_placeholders(1),
            }
        }
        self.data = data;
    }
}

impl fmt::Debug for ColumnBuffer {
    /// Shows name and type, but no values, which may be confidential, and many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ColumnBuffer");
        shown
            .field("name", &self.name())
            .field("type", &self.data_type())
            .field("rows", &self.len)
            .finish_non_exhaustive()
    }
}

impl<'a> Sink<'a> for &mut ColumnBuffer {
    type Output = Result<(), Mismatch>;

    #[inline(always)]
    fn take(self, value: ValueRef<'a>) -> Result<(), Mismatch> {
        self.push(value)
    }
}

impl Data {
    fn new(column: ColumnType) -> Self {
        match column {
            ColumnType::Null => Self::Null,
            ColumnType::Integer => Self::Integer(Vec::new()),
            ColumnType::Real => Self::Real(Vec::new()),
            ColumnType::Text => Self::Text(Bytes::default()),
            ColumnType::Blob => Self::Blob(Bytes::default()),
            ColumnType::Dynamic => Self::Dynamic(Dynamic::default()),
        }
    }

    /// Returns the number of rows, which a column without values does not know.
    fn len(&self) -> Option<usize> {
        match self {
            Self::Null => None,
            Self::Integer(values) => Some(values.len()),
            Self::Real(values) => Some(values.len()),
            Self::Text(values) | Self::Blob(values) => Some(values.len()),
            Self::Dynamic(values) => Some(values.cells.len()),
        }
    }

    fn push_placeholders(&mut self, count: usize) {
        match self {
            Self::Null => {}
            Self::Integer(values) => extend_with(values, 0, count),
            Self::Real(values) => extend_with(values, 0.0, count),
            Self::Text(values) | Self::Blob(values) => values.push_empty(count),
            Self::Dynamic(values) => values.push_nulls(count),
        }
    }
}

impl ColumnBuffer {
    /// Name of the column in the result.
    #[must_use]
    pub fn name(&self) -> &str {
        self.heads.name(self.index)
    }

    /// Declared type of the column in its table, as written in `CREATE TABLE`. `None` for expressions, and for columns
    /// that are declared without a type.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE sale(day DATE)", ())?;
    /// let batch = conn.scan("SELECT day, count(*) FROM sale", ()).columns()?;
    /// assert_eq!(batch.column(0)?.declared_type(), Some("DATE"));
    /// assert_eq!(batch.column(1)?.declared_type(), None);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_column_decltype](https://sqlite.org/c3ref/column_decltype.html)
    #[must_use]
    pub fn declared_type(&self) -> Option<&str> {
        self.heads.declared_type(self.index)
    }

    /// Number of the first value's row in the result, 0-based.
    #[must_use]
    pub fn first_row(&self) -> u64 {
        self.first_row
    }

    /// Type of the values.
    #[must_use]
    pub fn data_type(&self) -> ColumnType {
        match &self.data {
            Data::Null => ColumnType::Null,
            Data::Integer(_) => ColumnType::Integer,
            Data::Real(_) => ColumnType::Real,
            Data::Text(_) => ColumnType::Text,
            Data::Blob(_) => ColumnType::Blob,
            Data::Dynamic(_) => ColumnType::Dynamic,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of rows that are NULL.
    #[must_use]
    pub fn null_count(&self) -> usize {
        self.nulls.count
    }

    /// Whether a row, 0-based, is NULL.
    #[must_use]
    pub fn is_null(&self, row: usize) -> bool {
        row < self.len && self.nulls.contains(row)
    }

    /// Bitmap of the rows that have a value, laid out as in Arrow: one bit for each row, 1 for a value, lowest bit of a
    /// byte first. `None` if all rows have a value.
    #[must_use]
    pub fn validity(&self) -> Option<&[u8]> {
        (self.nulls.count > 0).then_some(&*self.nulls.validity)
    }

    pub(super) fn data(&self) -> &Data {
        &self.data
    }

    /// The value of a row, 0-based; `None` beyond the last.
    #[must_use]
    pub fn value(&self, row: usize) -> Option<ValueRef<'_>> {
        if row >= self.len {
            return None;
        }
        if self.nulls.contains(row) {
            return Some(ValueRef::Null);
        }
        match &self.data {
            Data::Null => Some(ValueRef::Null),
            Data::Integer(values) => values.get(row).copied().map(ValueRef::Integer),
            Data::Real(values) => values.get(row).copied().map(ValueRef::Real),
            Data::Text(values) => values.get(row).map(ValueRef::Text),
            Data::Blob(values) => values.get(row).map(ValueRef::Blob),
            Data::Dynamic(values) => values.get(row),
        }
    }

    /// The values, row by row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ValueRef<'_>> {
        (0..self.len).map(|row| self.value(row).unwrap_or(ValueRef::Null))
    }

    /// The integers of a column without NULLs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ColumnHasNulls`] if there is a NULL, which a slice cannot represent; [`iter_i64`](Self::iter_i64)
    /// and [`as_i64_with_validity`](Self::as_i64_with_validity) can. [`ErrorKind::ColumnType`] if the column is of
    /// another type.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let batch = conn.scan("VALUES (10, 1), (NULL, 2), (20, 3)", ()).columns()?;
    /// assert_eq!(batch.column(1)?.as_i64()?, [1, 2, 3]);
    /// assert!(batch.column(0)?.as_i64().is_err());
    /// let known: Vec<i64> = batch.column(0)?.iter_i64()?.flatten().collect();
    /// assert_eq!(known, [10, 20]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn as_i64(&self) -> Result<&[i64]> {
        self.without_nulls(self.as_i64_with_validity()?)
    }

    /// The integers, row by row; `None` for NULL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ColumnType`] if the column is of another type.
    pub fn iter_i64(&self) -> Result<impl ExactSizeIterator<Item = Option<i64>>> {
        Ok(self.optional(self.as_i64_with_validity()?.0))
    }

    /// The integers, with a placeholder for NULL, and the [`validity`](Self::validity), which marks the NULLs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ColumnType`] if the column is of another type.
    pub fn as_i64_with_validity(&self) -> Result<(&[i64], Option<&[u8]>)> {
        match &self.data {
            Data::Integer(values) => Ok((values, self.validity())),
            _ => Err(self.is_not(ColumnType::Integer)),
        }
    }

    /// The integers of a column without NULLs, without copying them.
    ///
    /// # Errors
    ///
    /// See [`as_i64`](Self::as_i64).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut columns = conn.scan("VALUES (1, 0.5), (2, 1.5)", ()).columns()?.into_columns();
    /// let (real, integer) = (columns.remove(1), columns.remove(0));
    /// assert_eq!((integer.into_i64()?, real.into_f64()?), (vec![1, 2], vec![0.5, 1.5]));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn into_i64(self) -> Result<Vec<i64>> {
        self.as_i64()?;
        Ok(self.into_i64_with_validity()?.0)
    }

    /// The integers and the [`validity`](Self::validity), without copying them.
    ///
    /// # Errors
    ///
    /// See [`as_i64_with_validity`](Self::as_i64_with_validity).
    pub fn into_i64_with_validity(self) -> Result<(Vec<i64>, Option<Vec<u8>>)> {
        match self {
            Self { data: Data::Integer(values), nulls, .. } => Ok((values, nulls.into_validity())),
            other => Err(other.is_not(ColumnType::Integer)),
        }
    }

    /// The reals of a column without NULLs.
    ///
    /// # Errors
    ///
    /// See [`as_i64`](Self::as_i64).
    pub fn as_f64(&self) -> Result<&[f64]> {
        self.without_nulls(self.as_f64_with_validity()?)
    }

    /// The reals, row by row; `None` for NULL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ColumnType`] if the column is of another type.
    pub fn iter_f64(&self) -> Result<impl ExactSizeIterator<Item = Option<f64>>> {
        Ok(self.optional(self.as_f64_with_validity()?.0))
    }

    /// The reals, with a placeholder for NULL, and the [`validity`](Self::validity), which marks the NULLs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ColumnType`] if the column is of another type.
    pub fn as_f64_with_validity(&self) -> Result<(&[f64], Option<&[u8]>)> {
        match &self.data {
            Data::Real(values) => Ok((values, self.validity())),
            _ => Err(self.is_not(ColumnType::Real)),
        }
    }

    /// The reals of a column without NULLs, without copying them.
    ///
    /// # Errors
    ///
    /// See [`as_i64`](Self::as_i64).
    pub fn into_f64(self) -> Result<Vec<f64>> {
        self.as_f64()?;
        Ok(self.into_f64_with_validity()?.0)
    }

    /// The reals and the [`validity`](Self::validity), without copying them.
    ///
    /// # Errors
    ///
    /// See [`as_f64_with_validity`](Self::as_f64_with_validity).
    pub fn into_f64_with_validity(self) -> Result<(Vec<f64>, Option<Vec<u8>>)> {
        match self {
            Self { data: Data::Real(values), nulls, .. } => Ok((values, nulls.into_validity())),
            other => Err(other.is_not(ColumnType::Real)),
        }
    }

    /// The texts, after one pass that checks that all are UTF-8.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ColumnType`] if the column is of another type, [`ErrorKind::ColumnConversion`] for text that is not
    /// UTF-8, which [`as_bytes`](Self::as_bytes) returns.
    pub fn as_str(&self) -> Result<TextColumn<'_>> {
        let Data::Text(values) = &self.data else {
            return Err(self.is_not(ColumnType::Text));
        };
        TextColumn::new(self, values).map_err(|(row, problem)| {
            Error::new(ErrorKind::ColumnConversion {
                row: Some(self.first_row + row as u64),
                column: self.index,
                name: self.name().into(),
                found: Type::Text,
                problem,
            })
        })
    }

    /// The bytes of the texts or blobs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ColumnType`] if the column is of another type.
    pub fn as_bytes(&self) -> Result<BytesColumn<'_>> {
        match &self.data {
            Data::Text(values) | Data::Blob(values) => Ok(BytesColumn::new(self, values)),
            _ => Err(self.is_not(ColumnType::Blob)),
        }
    }

    /// The bytes of the texts or blobs, their offsets, and the [`validity`](Self::validity), without copying them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ColumnType`] if the column is of another type.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    /// use finalite::scan::{BytesBuffers, OffsetBuffer};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut columns = conn.scan("VALUES ('ab'), ('c')", ()).columns()?.into_columns();
    /// let BytesBuffers { bytes, offsets, validity, .. } = columns.remove(0).into_bytes()?;
    /// assert_eq!((&bytes[..], offsets, validity), (&b"abc"[..], OffsetBuffer::Small(vec![0, 2, 3]), None));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn into_bytes(self) -> Result<BytesBuffers> {
        match self {
            Self {
                data: Data::Text(Bytes { bytes, offsets, .. }) | Data::Blob(Bytes { bytes, offsets, .. }),
                nulls,
                ..
            } => Ok(BytesBuffers { bytes, offsets, validity: nulls.into_validity() }),
            other => Err(other.is_not(ColumnType::Blob)),
        }
    }

    fn is_not(&self, asked: ColumnType) -> Error {
        let (name, found) = (self.name().into(), self.data_type());
        Error::new(ErrorKind::ColumnType { column: self.index, name, asked, found })
    }

    /// Returns the values if none of them is NULL.
    fn without_nulls<'a, T>(&self, (values, validity): (&'a [T], Option<&[u8]>)) -> Result<&'a [T]> {
        if validity.is_none() {
            return Ok(values);
        }
        let first = (0..self.len).find(|&row| self.is_null(row)).unwrap_or_default();
        let (row, nulls) = (self.first_row + first as u64, self.nulls.count);
        Err(Error::new(ErrorKind::ColumnHasNulls { row, column: self.index, name: self.name().into(), nulls }))
    }

    fn optional<'a, T: Copy>(&'a self, values: &'a [T]) -> impl ExactSizeIterator<Item = Option<T>> + use<'a, T> {
        values.iter().enumerate().map(|(row, &value)| (!self.is_null(row)).then_some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes texts, and counts the reallocations of their bytes.
    fn moves<'a>(expected: Expected, texts: impl Iterator<Item = Option<&'a [u8]>>) -> (usize, Bytes) {
        let heads = Arc::new(ColumnHeads::new([("a", None)]));
        let mut column = ColumnBuffer::affinity(0, &heads, ColumnType::Text, OnTypeMismatch::Dynamic);
        column.expect(expected);
        let (mut moves, mut capacity) = (0, 0);
        for text in texts {
            column.push(text.map_or(ValueRef::Null, ValueRef::Text)).unwrap();
            let Data::Text(bytes) = &column.data else { panic!("no longer a column of text") };
            moves += usize::from(bytes.bytes.capacity() != capacity);
            capacity = bytes.bytes.capacity();
        }
        let Data::Text(bytes) = column.data else { panic!("no longer a column of text") };
        (moves, bytes)
    }

    const ROWS: u64 = 200_000;

    /// Checks texts of less than a byte on average, for which each value could cause a reallocation.
    #[test]
    fn a_column_that_is_mostly_null_moves_a_few_times() {
        let texts = (0..ROWS).map(|row| (row % 3 == 0).then_some(&b"x"[..]));
        let (moves, bytes) = moves(Expected { rows: ROWS, bytes: 8 << 20 }, texts);
        assert_eq!(bytes.bytes.len(), 66_667);
        assert!(moves < 20, "{moves}");
    }

    #[test]
    fn texts_that_are_as_long_as_the_first_are_not_moved_again() {
        let texts = (0..ROWS).map(|_| Some(&b"a text of 18 bytes"[..]));
        let (moves, bytes) = moves(Expected { rows: ROWS, bytes: 64 << 20 }, texts);
        assert_eq!(bytes.bytes.len(), 18 * 200_000);
        // The reallocations up to the number of values used for the estimate, and one after that.
        assert!(moves < 14, "{moves}");
        assert!(bytes.bytes.capacity() < 5 << 20, "{}", bytes.bytes.capacity());
    }

    /// Checks that the capacity is limited by the size of the database.
    #[test]
    fn a_long_text_among_short_ones_promises_nothing() {
        let long = vec![b'a'; 1 << 20];
        let texts = (0..1_000).map(|row| Some(if row == 500 { &long[..] } else { b"short" }));
        let (_, bytes) = moves(Expected { rows: 1 << 20, bytes: 3 << 20 }, texts);
        assert!(bytes.bytes.capacity() < 16 << 20, "{}", bytes.bytes.capacity());
    }
}
