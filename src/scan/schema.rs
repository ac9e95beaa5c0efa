//! Types of columns, and the treatment of values of another type.

use std::fmt;

use crate::Type;

/// The type of a column of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnType {
    /// NULLs only so far, and no declaration that promises a type.
    Null,
    /// 64-bit integers.
    Integer,
    /// 64-bit floating-point numbers.
    Real,
    /// Text.
    Text,
    /// Bytes.
    Blob,
    /// Values of any type.
    Dynamic,
}

impl ColumnType {
    /// Returns the type of a column whose first value has this type.
    pub(super) fn of(value: Type) -> Self {
        match value {
            Type::Null => Self::Null,
            Type::Integer => Self::Integer,
            Type::Real => Self::Real,
            Type::Text => Self::Text,
            Type::Blob => Self::Blob,
        }
    }

    /// Returns the type that a declaration promises; [`Null`](Self::Null) if it promises none.
    ///
    /// The rules are those of [affinity](https://sqlite.org/datatype3.html#determination_of_column_affinity), with one
    /// difference: NUMERIC, which includes ANY, may hold integers and reals, so it promises no type.
    pub(super) fn affinity(declaration: Option<&str>) -> Self {
        let Some(declaration) = declaration else {
            return Self::Null;
        };
        let has_word =
            |word: &str| declaration.as_bytes().windows(word.len()).any(|at| at.eq_ignore_ascii_case(word.as_bytes()));
        let has = |words: &[&str]| words.iter().any(|word| has_word(word));
        if has(&["INT"]) {
            Self::Integer
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if has(&["BLOB"]) {
            Self::Blob
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Self::Real
        } else {
            Self::Null
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Null => "NULL",
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Text => "TEXT",
            Self::Blob => "BLOB",
            Self::Dynamic => "any type",
        })
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_promise_by_affinity() {
        for (declaration, affinity) in [
            ("INTEGER", ColumnType::Integer),
            ("unsigned big int", ColumnType::Integer),
            ("CHARINT", ColumnType::Integer),
            ("VARCHAR(10)", ColumnType::Text),
            ("text", ColumnType::Text),
            ("BLOB", ColumnType::Blob),
            ("DOUBLE PRECISION", ColumnType::Real),
            ("FLOAT", ColumnType::Real),
            ("DECIMAL(10, 5)", ColumnType::Null),
            ("DATE", ColumnType::Null),
            ("ANY", ColumnType::Null),
            ("", ColumnType::Null),
        ] {
            assert_eq!(ColumnType::affinity(Some(declaration)), affinity, "{declaration}");
        }
        assert_eq!(ColumnType::affinity(None), ColumnType::Null);
    }
}
