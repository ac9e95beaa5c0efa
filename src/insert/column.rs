//! Columns to insert.

use std::fmt;
use std::marker::PhantomData;

use crate::convert::{Param, ParamValue, ToSql};
use crate::error::{Error, Result};
use crate::raw::lent_columns::Cells;
use crate::scan::{ColumnBuffer, Offsets};
use crate::value::{ColumnType, ConversionError, Lend, RawParam, ValueRef, lend_at};

/// The values of one column, borrowed: SQLite reads them where they are.
///
/// It is made of slices, arrays and `Vec` by reference (`(&ids).into()`) of the types that are [`InsertValue`], or of a
/// [`ColumnBuffer`] of a scan. [`from_values`](Self::from_values) takes any other type that is [`ToSql`].
///
/// # Example
///
/// ```
/// use finalite::insert::InsertColumn;
///
/// let names = vec!["Bonn".to_owned(), "Ulm".to_owned()];
/// let column = InsertColumn::from(&names);
/// assert_eq!(column.len(), 2);
/// ```
pub struct InsertColumn<'a>(Result<Box<dyn Cells + 'a>>);

/// A type whose values SQLite reads in place, from a slice: `bool`, the integers except `u8`, `f32` and `f64`; `&str`,
/// `String`, `Box<str>` and `Cow<str>`; `&[u8]`, `Vec<u8>`, `Box<[u8]>` and `Cow<[u8]>`; [`Value`](crate::Value), which
/// may differ in type; and `Option` of these, where `None` is NULL.
///
/// A `u64` or `usize` beyond `i64::MAX`, and NaN, are errors when they are inserted.
pub trait InsertValue: Lend {}

impl<T: Lend> InsertValue for T {}

/// Bitmap of the rows that have a value, as in Arrow: 1 for a value, lowest bit of a byte first.
#[derive(Clone, Copy)]
struct Validity<'a>(&'a [u8]);

impl Validity<'_> {
    #[inline]
    fn is_null(self, row: usize) -> bool {
        self.0.get(row / 8).is_some_and(|byte| byte & (1 << (row % 8)) == 0)
    }
}

/// Numbers, with a placeholder for NULL.
struct Numbers<'a, T> {
    values: &'a [T],
    validity: Option<Validity<'a>>,
}

/// Texts or blobs, one after another.
struct Varied<'a, B: ?Sized> {
    all: &'a B,
    offsets: Offsets<'a>,
    validity: Option<Validity<'a>>,
}

/// Values that are NULL.
struct Nulls(usize);

/// Values that were converted before.
struct Converted<'a>(Vec<Param<'a>>);

struct Slice<'a, T>(&'a [T]);

/// Values that a closure of finalite's own reads.
struct ReadBy<'a, F> {
    len: usize,
    read: F,
    lent: PhantomData<RawParam<'a>>,
}

impl<'a, F: Fn(usize) -> Result<RawParam<'a>, ConversionError>> Cells for ReadBy<'a, F> {
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn cell(&self, row: usize) -> Result<RawParam<'_>, ConversionError> {
        if row < self.len { (self.read)(row) } else { Ok(RawParam::Null) }
    }
}

impl<T: Lend> Cells for Slice<'_, T> {
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn cell(&self, row: usize) -> Result<RawParam<'_>, ConversionError> {
        lend_at(self.0, row)
    }
}

impl<T: Lend> Cells for Numbers<'_, T> {
    fn len(&self) -> usize {
        self.values.len()
    }

    #[inline]
    fn cell(&self, row: usize) -> Result<RawParam<'_>, ConversionError> {
        if self.validity.is_some_and(|validity| validity.is_null(row)) {
            return Ok(RawParam::Null);
        }
        lend_at(self.values, row)
    }
}

impl<B: ?Sized> Varied<'_, B> {
    fn len(&self) -> usize {
        match self.offsets {
            Offsets::Small(offsets) => offsets.len().saturating_sub(1),
            Offsets::Large(offsets) => offsets.len().saturating_sub(1),
        }
    }

    #[inline]
    fn is_null(&self, row: usize) -> bool {
        self.validity.is_some_and(|validity| validity.is_null(row))
    }
}

impl Cells for Varied<'_, str> {
    fn len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn cell(&self, row: usize) -> Result<RawParam<'_>, ConversionError> {
        let text = self.offsets.range(row).and_then(|range| self.all.get(range)).filter(|_| !self.is_null(row));
        Ok(text.map_or(RawParam::Null, RawParam::Text))
    }
}

impl Cells for Varied<'_, [u8]> {
    fn len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn cell(&self, row: usize) -> Result<RawParam<'_>, ConversionError> {
        let bytes = self.offsets.range(row).and_then(|range| self.all.get(range)).filter(|_| !self.is_null(row));
        Ok(bytes.map_or(RawParam::Null, RawParam::Blob))
    }
}

impl Cells for Nulls {
    fn len(&self) -> usize {
        self.0
    }

    fn cell(&self, _row: usize) -> Result<RawParam<'_>, ConversionError> {
        Ok(RawParam::Null)
    }
}

impl Cells for Converted<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn cell(&self, row: usize) -> Result<RawParam<'_>, ConversionError> {
        let Some(param) = self.0.get(row) else {
            return Ok(RawParam::Null);
        };
        Ok(match param.as_value() {
            ParamValue::Null => RawParam::Null,
            &ParamValue::Integer(value) => RawParam::Integer(value),
            &ParamValue::Real(value) => RawParam::Real(value),
            ParamValue::Text(text) => RawParam::Text(text),
            ParamValue::Blob(bytes) => RawParam::Blob(bytes),
            &ParamValue::ZeroBlob(bytes) => RawParam::ZeroBlob(bytes),
            ParamValue::List(_) | ParamValue::OwnedList(_) => {
                return Err(ConversionError::message("Array", "a list is not a value of one column"));
            }
            ParamValue::Error(problem) => return Err(problem.restated()),
        })
    }
}

/// A column of several types.
impl Cells for &ColumnBuffer {
    fn len(&self) -> usize {
        ColumnBuffer::len(self)
    }

    fn cell(&self, row: usize) -> Result<RawParam<'_>, ConversionError> {
        Ok(match self.value(row) {
            None | Some(ValueRef::Null) => RawParam::Null,
            Some(ValueRef::Integer(value)) => RawParam::Integer(value),
            Some(ValueRef::Real(value)) => RawParam::Real(value),
            Some(value @ ValueRef::Text(_)) => RawParam::Text(value.as_str()?),
            Some(ValueRef::Blob(bytes)) => RawParam::Blob(bytes),
        })
    }
}

impl<'a> InsertColumn<'a> {
    fn new(cells: impl Cells + 'a) -> Self {
        Self(Ok(Box::new(cells)))
    }

    pub(crate) fn read_by(len: usize, read: impl Fn(usize) -> Result<RawParam<'a>, ConversionError> + 'a) -> Self {
        Self::new(ReadBy { len, read, lent: PhantomData })
    }

    /// Converts values of any type that can be bound: dates, enums, other types of the program. Their texts and bytes
    /// are borrowed if the values are.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, Param, ToSql, insert::InsertColumn};
    ///
    /// struct UserId(i64);
    ///
    /// impl ToSql for UserId {
    ///     fn to_sql(&self) -> Param<'_> {
    ///         Param::integer(self.0)
    ///     }
    /// }
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE member(id INTEGER)", ())?;
    /// let ids = [UserId(7), UserId(9)];
    /// conn.insert_columns("member", [("id", InsertColumn::from_values(&ids))])?;
    /// assert_eq!(conn.query_all::<i64>("SELECT id FROM member", ())?, [7, 9]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn from_values<T: ToSql + 'a>(values: impl IntoIterator<Item = T>) -> Self {
        Self::new(Converted(values.into_iter().map(ToSql::into_param).collect()))
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |cells| cells.len())
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the values, or the error of a column that cannot be inserted.
    pub(crate) fn into_cells(self) -> Result<Box<dyn Cells + 'a>> {
        self.0
    }

    fn of_buffer(buffer: &'a ColumnBuffer) -> Result<Self> {
        let validity = buffer.validity().map(Validity);
        Ok(match buffer.data_type() {
            ColumnType::Null => Self::new(Nulls(buffer.len())),
            ColumnType::Integer => Self::new(Numbers { values: buffer.as_i64_with_validity()?.0, validity }),
            ColumnType::Real => Self::new(Numbers { values: buffer.as_f64_with_validity()?.0, validity }),
            ColumnType::Text => {
                let texts = buffer.as_str()?;
                Self::new(Varied { all: texts.text(), offsets: texts.offsets(), validity })
            }
            ColumnType::Blob => {
                let blobs = buffer.as_bytes()?;
                Self::new(Varied { all: blobs.bytes(), offsets: blobs.offsets(), validity })
            }
            ColumnType::Dynamic => Self::new(buffer),
        })
    }
}

impl<'a, T: InsertValue> From<&'a [T]> for InsertColumn<'a> {
    fn from(values: &'a [T]) -> Self {
        Self::new(Slice(values))
    }
}

impl<'a, T: InsertValue> From<&'a Vec<T>> for InsertColumn<'a> {
    fn from(values: &'a Vec<T>) -> Self {
        Self::from(values.as_slice())
    }
}

impl<'a, T: InsertValue, const N: usize> From<&'a [T; N]> for InsertColumn<'a> {
    fn from(values: &'a [T; N]) -> Self {
        Self::from(values.as_slice())
    }
}

impl<'a> From<&'a ColumnBuffer> for InsertColumn<'a> {
    fn from(buffer: &'a ColumnBuffer) -> Self {
        Self::of_buffer(buffer).unwrap_or_else(|error: Error| Self(Err(error)))
    }
}

/// Shows the number of values, but not the values.
impl fmt::Debug for InsertColumn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InsertColumn({} values)", self.len())
    }
}
