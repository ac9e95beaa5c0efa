//! Values of an `IN` list, found as SQLite finds them in an index.

use std::ops::Range;

use super::condition::{Collation, Comparison, ComparisonAffinity, Constant, Operand, converted};
use crate::value::{Relation, Value, ValueRef};

/// An `IN` list whose values may be parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValueList {
    /// Indices of its values in [`Condition::constants`](super::condition::Condition::constants).
    pub(crate) values: Range<usize>,
    /// Conversion of the values before they are stored in the index.
    pub(crate) affinity: ComparisonAffinity,
    pub(crate) collation: Collation,
}

impl ValueList {
    /// Returns a value as it is in the index. Returns `None` for a conversion that is not done here, and for NULL, with
    /// which an `IN` that finds nothing is NULL instead of false.
    pub(super) fn converted(&self, value: &Value) -> Option<Value> {
        match (value, self.affinity) {
            (Value::Null, _) | (Value::Real(_), ComparisonAffinity::Text) => None,
            (Value::Integer(number), ComparisonAffinity::Text) => Some(Value::Text(number.to_string())),
            (value, affinity) => converted(value, affinity),
        }
    }
}

/// The values of an `IN` list, in SQLite's order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ValueSet {
    sorted: Box<[Value]>,
    /// The integers among them.
    integers: Box<[i64]>,
    has_reals: bool,
    order: Comparison,
}

impl ValueSet {
    /// Creates the set of these values, none of which is NULL.
    pub(super) fn new(values: &[Constant], collation: Collation) -> Self {
        // Only the collation matters.
        let order = Comparison {
            left: Operand::Constant(0),
            relation: Relation::Equal,
            right: Operand::Constant(0),
            affinity: ComparisonAffinity::None,
            collation,
            is_true_for_null: false,
        };
        let known = values.iter().filter_map(|value| match value {
            Constant::Value(value) => Some(value.clone()),
            Constant::Parameter(_) => None,
        });
        let mut sorted: Vec<Value> = known.collect();
        sorted.sort_by(|left, right| order.order(left.as_value_ref(), right.as_value_ref()));
        let integers = sorted.iter().filter_map(|value| match value {
            Value::Integer(number) => Some(*number),
            _ => None,
        });
        let integers = integers.collect();
        let has_reals = sorted.iter().any(|value| matches!(value, Value::Real(_)));
        Self { sorted: sorted.into(), integers, has_reals, order }
    }

    /// Whether a value is one of them. NULL is none.
    #[inline]
    pub(super) fn contains(&self, value: ValueRef<'_>) -> bool {
        match value {
            ValueRef::Null => false,
            ValueRef::Integer(number) if !self.has_reals => self.integers.binary_search(&number).is_ok(),
            value => self.sorted.binary_search_by(|one| self.order.order(one.as_value_ref(), value)).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_whatever_their_type() {
        let values = [Value::Integer(1 << 53), Value::Real(2.0), Value::Integer(7), Value::Real(2.5)];
        let set = ValueSet::new(&values.map(Constant::Value), Collation::Binary);
        for found in [ValueRef::Integer(2), ValueRef::Real(7.0), ValueRef::Real(2.5), ValueRef::Integer(1 << 53)] {
            assert!(set.contains(found), "{found:?}");
        }
        for other in [ValueRef::Integer((1 << 53) + 1), ValueRef::Real(7.5), ValueRef::Text(b"7"), ValueRef::Null] {
            assert!(!set.contains(other), "{other:?}");
        }
    }

    #[test]
    fn texts_are_equal_by_the_collation() {
        let values = || ["b", "A "].map(|text| Constant::Value(Value::Text(text.to_owned())));
        for (collation, found) in [(Collation::Binary, "A "), (Collation::NoCase, "a "), (Collation::RightTrim, "A")] {
            let set = ValueSet::new(&values(), collation);
            let is_in = |text: &str| set.contains(ValueRef::Text(text.as_bytes()));
            assert!(is_in(found) && is_in("b") && !is_in("a") && !is_in("c"), "{collation:?}");
            assert!(!set.contains(ValueRef::Blob(b"b")), "{collation:?}");
        }
    }
}
