//! Conditions on the values of a row, evaluated as SQLite's bytecode evaluates them.
//!
//! A condition is a list of tests, as a program of SQLite has them: each either jumps, or falls through to the next one.
//!
//! ```text
//! WHERE a = 1 OR a > 5      0  a = 1    jump to accept
//!                           1  a <= 5   jump to reject
//!                              accept
//! ```
//!
//! Jumps lead forward, so that an evaluation ends. A comparison whose result would depend on a conversion between text
//! and number that is not done here has no result: SQLite then evaluates the condition for this and all later rows.

use std::cmp::Ordering;
use std::io::Write;

use super::cells::ColumnSource;
use super::leading::LeadingTest;
use super::value_set::{ValueList, ValueSet};
use crate::value::{Relation, Value, ValueRef, compare_integer};

/// A condition on the values of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) constants: Box<[Constant]>,
    pub(crate) lists: Box<[ValueList]>,
    pub(crate) steps: Box<[ConditionStep]>,
    /// The values of each list, once those of the parameters are known.
    sets: Box<[ValueSet]>,
    /// The first tests, as far as each rejects a row alone.
    leading: Box<[LeadingTest]>,
}

/// A value that a row is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Constant {
    Value(Value),
    /// 1-based number of a parameter whose value is not known yet.
    Parameter(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConditionStep {
    pub(crate) test: Test,
    /// Next step if the test is true; otherwise the one after it is next.
    pub(crate) target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Step(usize),
    Accept,
    Reject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Always,
    IsNull(Operand),
    IsNotNull(Operand),
    Compare(Comparison),
    /// Whether the value is in the list with this index.
    IsOneOf(Operand, usize),
    IsNoneOf(Operand, usize),
}

/// Index of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    /// In the sources of the row's cells.
    Source(usize),
    /// In [`Condition::constants`].
    Constant(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) left: Operand,
    pub(crate) relation: Relation,
    pub(crate) right: Operand,
    pub(crate) affinity: ComparisonAffinity,
    pub(crate) collation: Collation,
    /// Result of a comparison with NULL, unless it is `IS` or `IS NOT`.
    pub(crate) is_true_for_null: bool,
}

/// Conversion of the operands before a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ComparisonAffinity {
    None,
    /// A number is converted to text if the other operand is text.
    Text,
    /// A text that reads as a number is converted to it.
    Numeric,
}

/// SQLite's own collations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collation {
    Binary,
    NoCase,
    RightTrim,
}

/// Result of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Reject,
    /// SQLite must evaluate the condition.
    Unknown,
}

impl Condition {
    /// Returns the condition with values for its parameters. `sources` are those of the cells. Returns `None` if one is
    /// missing, or if a comparison with a constant needs a conversion that is not done here.
    pub(crate) fn with_parameters(&self, values: &[Value], sources: &[ColumnSource]) -> Option<Self> {
        let mut condition = self.clone();
        for constant in &mut condition.constants {
            if let Constant::Parameter(number) = *constant {
                *constant = Constant::Value(values.get(number.checked_sub(1)?)?.clone());
            }
        }
        // A constant of its own for each comparison, since each may convert it.
        let mut constants = Vec::new();
        for step in &mut condition.steps {
            let operands: Box<[_]> = match &mut step.test {
                Test::Always => Box::new([]),
                Test::IsNull(operand)
                | Test::IsNotNull(operand)
                | Test::IsOneOf(operand, _)
                | Test::IsNoneOf(operand, _) => Box::new([(operand, ComparisonAffinity::None)]),
                Test::Compare(Comparison { left, right, affinity, .. }) => {
                    Box::new([(left, *affinity), (right, *affinity)])
                }
            };
            for (operand, affinity) in operands {
                if let Operand::Constant(index) = operand {
                    let Constant::Value(value) = &condition.constants[*index] else {
                        return None;
                    };
                    constants.push(Constant::Value(converted(value, affinity)?));
                    *index = constants.len() - 1;
                }
            }
        }
        for list in &mut condition.lists {
            let start = constants.len();
            for value in &condition.constants[list.values.clone()] {
                let Constant::Value(value) = value else {
                    return None;
                };
                constants.push(Constant::Value(list.converted(value)?));
            }
            list.values = start..constants.len();
        }
        let sets = condition.lists.iter().map(|list| ValueSet::new(&constants[list.values.clone()], list.collation));
        condition.sets = sets.collect();
        let leading = |step: &ConditionStep| LeadingTest::of(step, &constants, &condition.sets, sources);
        condition.leading = condition.steps.iter().map_while(leading).collect();
        condition.constants = constants.into();
        Some(condition)
    }

    pub(crate) fn new(constants: Box<[Constant]>, lists: Box<[ValueList]>, steps: Box<[ConditionStep]>) -> Self {
        Self { constants, lists, steps, sets: Box::new([]), leading: Box::new([]) }
    }

    /// Number of tests and values of lists of the condition as an expression, in which what follows on two ways is
    /// written twice.
    pub(crate) fn expression_tests(&self) -> usize {
        let mut from = vec![0_usize; self.steps.len() + 1];
        for (index, step) in self.steps.iter().enumerate().rev() {
            let if_true = match step.target {
                Target::Step(target) => from.get(target).copied().unwrap_or(0),
                Target::Accept | Target::Reject => 0,
            };
            let if_false = if step.test == Test::Always { 0 } else { from[index + 1] };
            let values = match step.test {
                Test::IsOneOf(_, list) | Test::IsNoneOf(_, list) => self.lists[list].values.len(),
                _ => 0,
            };
            from[index] = if_true.saturating_add(if_false).saturating_add(1 + values);
        }
        from[0]
    }

    /// Returns the first tests, as far as each rejects a row alone, and whether they are all.
    pub(super) fn leading(&self) -> (&[LeadingTest], bool) {
        (&self.leading, self.leading.len() == self.steps.len())
    }

    /// Indices of the values of the row that are compared.
    pub(super) fn operands(&self) -> impl Iterator<Item = usize> {
        self.steps.iter().flat_map(|step| step.test.operands())
    }

    /// Evaluates the condition. `read` returns the value of the source with this index.
    #[inline(always)]
    pub(super) fn evaluate<'a>(&'a self, read: impl Fn(usize) -> ValueRef<'a>) -> Verdict {
        let mut next = 0;
        while let Some(step) = self.steps.get(next) {
            let Some(is_true) = self.test(&step.test, &read) else {
                return Verdict::Unknown;
            };
            next = match (is_true, step.target) {
                (false, _) => next + 1,
                // Backward jumps do not exist: `max` lets the loop end in any case.
                (true, Target::Step(step)) => step.max(next + 1),
                (true, Target::Accept) => return Verdict::Accept,
                (true, Target::Reject) => return Verdict::Reject,
            };
        }
        Verdict::Accept
    }

    /// Returns the result of a test; `None` if it depends on a conversion that is not done here.
    #[inline(always)]
    fn test<'a>(&'a self, test: &Test, read: impl Fn(usize) -> ValueRef<'a>) -> Option<bool> {
        let value = |operand| match operand {
            Operand::Source(index) => read(index),
            Operand::Constant(index) => match &self.constants[index] {
                Constant::Value(value) => value.as_value_ref(),
                Constant::Parameter(_) => ValueRef::Null,
            },
        };
        match *test {
            Test::Always => Some(true),
            Test::IsNull(operand) => Some(matches!(value(operand), ValueRef::Null)),
            Test::IsNotNull(operand) => Some(!matches!(value(operand), ValueRef::Null)),
            Test::Compare(ref comparison) => comparison.test(value(comparison.left), value(comparison.right)),
            Test::IsOneOf(operand, list) => Some(self.sets.get(list)?.contains(value(operand))),
            Test::IsNoneOf(operand, list) => Some(!self.sets.get(list)?.contains(value(operand))),
        }
    }
}

impl Test {
    /// Indices of the values of the row that are compared.
    fn operands(self) -> impl Iterator<Item = usize> {
        let operands = match self {
            Self::Always => [None, None],
            Self::IsNull(operand)
            | Self::IsNotNull(operand)
            | Self::IsOneOf(operand, _)
            | Self::IsNoneOf(operand, _) => [Some(operand), None],
            Self::Compare(Comparison { left, right, .. }) => [Some(left), Some(right)],
        };
        operands.into_iter().flatten().filter_map(|operand| match operand {
            Operand::Source(index) => Some(index),
            Operand::Constant(_) => None,
        })
    }
}

/// Converts a constant before it is compared. Returns `None` for a conversion that is not done here.
pub(super) fn converted(value: &Value, affinity: ComparisonAffinity) -> Option<Value> {
    match (value, affinity) {
        (Value::Text(text), ComparisonAffinity::Numeric) => {
            Some(number_of(text)?.map_or_else(|| value.clone(), Value::Integer))
        }
        _ => Some(value.clone()),
    }
}

/// Returns the integer that a text stands for where it is compared with numbers; the inner `None` says that it stands for
/// no number. Returns `None` if SQLite might read it as another number: only integers as SQLite writes them are
/// converted, since the conversion of others has rules of its own.
pub(super) fn number_of(text: &str) -> Option<Option<i64>> {
    if !may_be_number(text.as_bytes()) {
        return Some(None);
    }
    text.parse::<i64>().ok().filter(|number| number.to_string() == text).map(Some)
}

/// Whether SQLite might read the text as a number: it skips spaces, and a number begins with one of these.
fn may_be_number(text: &[u8]) -> bool {
    let first = text.iter().find(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'));
    matches!(first, Some(b'0'..=b'9' | b'+' | b'-' | b'.'))
}

impl Comparison {
    /// Returns the result; `None` if it depends on a conversion that is not done here.
    #[inline(always)]
    fn test(&self, left: ValueRef<'_>, right: ValueRef<'_>) -> Option<bool> {
        // Most of all comparisons.
        let ordering = match (left, right) {
            (ValueRef::Integer(left), ValueRef::Integer(right)) => left.cmp(&right),
            (ValueRef::Real(left), ValueRef::Real(right)) => left.partial_cmp(&right)?,
            (ValueRef::Text(left), ValueRef::Text(right)) if self.is_of_bytes() => left.cmp(right),
            _ => match self.compare(left, right)? {
                Some(ordering) => ordering,
                None => return Some(self.is_true_for_null),
            },
        };
        Some(self.relation.holds(ordering))
    }

    /// Whether texts are compared by their bytes.
    #[inline(always)]
    pub(super) fn is_of_bytes(&self) -> bool {
        self.collation == Collation::Binary && self.affinity != ComparisonAffinity::Numeric
    }

    /// Returns the order of two values, neither of which is NULL, without a conversion.
    pub(super) fn order(&self, left: ValueRef<'_>, right: ValueRef<'_>) -> Ordering {
        self.compare(left, right).flatten().unwrap_or(Ordering::Equal)
    }

    /// Compares two values. The inner `None` stands for NULL.
    #[inline(never)]
    fn compare(&self, left: ValueRef<'_>, right: ValueRef<'_>) -> Option<Option<Ordering>> {
        use ValueRef::{Blob, Integer, Null, Real, Text};
        let mut digits = [0; 20];
        let ordering = match (left, right) {
            (Null, _) | (_, Null) if !matches!(self.relation, Relation::Is | Relation::IsNot) => return Some(None),
            (Null, Null) => Ordering::Equal,
            (Null, _) | (_, Null) => Ordering::Less,
            (Text(left), Text(right)) => {
                if self.affinity == ComparisonAffinity::Numeric && (may_be_number(left) || may_be_number(right)) {
                    return None;
                }
                self.collation.compare(left, right)
            }
            (Text(text), number @ (Integer(_) | Real(_))) => {
                self.compare_with_number(text, number, &mut digits)?.unwrap_or(Ordering::Greater)
            }
            (number @ (Integer(_) | Real(_)), Text(text)) => {
                self.compare_with_number(text, number, &mut digits)?.map_or(Ordering::Less, Ordering::reverse)
            }
            (Integer(left), Integer(right)) => left.cmp(&right),
            (Integer(left), Real(right)) => compare_integer(left, right),
            (Real(left), Integer(right)) => compare_integer(right, left).reverse(),
            (Real(left), Real(right)) => left.partial_cmp(&right)?,
            (Blob(left), Blob(right)) => left.cmp(right),
            // Numbers are before texts, and texts before blobs.
            (Blob(_), _) => Ordering::Greater,
            (_, Blob(_)) => Ordering::Less,
        };
        Some(Some(ordering))
    }

    /// Compares a text with a number. The inner `None` says that any text is behind any number.
    fn compare_with_number(
        &self,
        text: &[u8],
        number: ValueRef<'_>,
        digits: &mut [u8; 20],
    ) -> Option<Option<Ordering>> {
        match (self.affinity, number) {
            (ComparisonAffinity::None, _) => Some(None),
            (ComparisonAffinity::Numeric, _) if may_be_number(text) => None,
            (ComparisonAffinity::Numeric, _) => Some(None),
            (ComparisonAffinity::Text, ValueRef::Integer(number)) => {
                let mut free = &mut digits[..];
                // 20 bytes are enough for any integer.
                write!(free, "{number}").ok()?;
                let len = 20 - free.len();
                Some(Some(self.collation.compare(text, &digits[..len])))
            }
            (ComparisonAffinity::Text, _) => None,
        }
    }
}

impl Collation {
    fn compare(self, left: &[u8], right: &[u8]) -> Ordering {
        match self {
            Self::Binary => left.cmp(right),
            Self::RightTrim => trimmed(left).cmp(trimmed(right)),
            Self::NoCase => {
                let pairs = left.iter().zip(right);
                for (left, right) in pairs {
                    match left.to_ascii_lowercase().cmp(&right.to_ascii_lowercase()) {
                        // SQLite stops at a NUL, and compares the lengths.
                        Ordering::Equal if *left == 0 => break,
                        Ordering::Equal => {}
                        other => return other,
                    }
                }
                left.len().cmp(&right.len())
            }
        }
    }
}

fn trimmed(text: &[u8]) -> &[u8] {
    let spaces = text.iter().rev().take_while(|byte| **byte == b' ').count();
    &text[..text.len() - spaces]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_writes_twice_what_two_ways_lead_to() {
        let step = |target| ConditionStep { test: Test::IsNull(Operand::Source(0)), target };
        let condition = |steps: Vec<ConditionStep>| Condition::new(Box::new([]), Box::new([]), steps.into());
        assert_eq!(condition(vec![step(Target::Reject), step(Target::Reject)]).expression_tests(), 2);
        assert_eq!(condition(vec![step(Target::Step(1)), step(Target::Reject)]).expression_tests(), 3);
        assert_eq!(condition((1..=64).map(|next| step(Target::Step(next))).collect()).expression_tests(), usize::MAX);
    }
}
