//! Treatment of values of another type than their column's.

/// Treatment of a value of another type than its column's. NULL fits every column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnTypeMismatch {
    /// Ends the scan with [`ErrorKind::MixedColumn`](crate::ErrorKind::MixedColumn).
    Error,
    /// Converts integers in a column of reals to reals, and a column of integers with a real to reals, if each is
    /// exact. Anything else is an error.
    Widen,
    /// Changes the column to [`ColumnType::Dynamic`]: no value is converted.
    Dynamic,
}
