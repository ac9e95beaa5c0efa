//! [`ColumnType`]: the type of a column of a batch.

use std::fmt;

use super::Type;

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
    pub(crate) fn of(value: Type) -> Self {
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
    pub(crate) fn affinity(declaration: Option<&str>) -> Self {
        let Some(declaration) = declaration else {
            return Self::Null;
        };
        let (mut found, mut last) = (Self::Null, 0_u32);
        for byte in declaration.bytes() {
            last = last << 8 | u32::from(byte.to_ascii_lowercase());
            found = match (&last.to_be_bytes(), found) {
                ([_, b'i', b'n', b't'], _) => return Self::Integer,
                (b"char" | b"clob" | b"text", _) => Self::Text,
                (b"blob", Self::Null | Self::Real) => Self::Blob,
                (b"real" | b"floa" | b"doub", Self::Null) => Self::Real,
                _ => found,
            };
        }
        found
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
