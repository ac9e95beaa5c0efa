//! Relations of two values.

use std::cmp::Ordering;

/// Relation of a column's value and another value. For [`Scan::filter`](crate::scan::Scan::filter).
///
/// Values are compared as SQLite compares them: [storage classes, affinity](https://sqlite.org/datatype3.html) and the
/// collation of the column count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Relation {
    /// `=`. Neither is NULL.
    Equal,
    /// `<>`. Neither is NULL.
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `IS`: equal, or both NULL.
    Is,
    /// `IS NOT`: not equal; NULL is not equal to any other value.
    IsNot,
}

impl Relation {
    /// Returns the operator in SQL.
    pub(crate) fn operator(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Is => "IS",
            Self::IsNot => "IS NOT",
        }
    }

    /// Whether two values of this order are in the relation. NULL has its place only for `IS` and `IS NOT`.
    #[inline(always)]
    pub(crate) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal | Self::Is => ordering.is_eq(),
            Self::NotEqual | Self::IsNot => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}
