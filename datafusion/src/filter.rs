//! Filters of DataFusion as conditions of SQL.
//!
//! A condition holds for each row for which the filter is true. It is exact if it holds for no other row; otherwise
//! DataFusion filters once more. Neither side of `AND` and `OR` is ever negated, so that it does not matter whether a
//! condition that does not hold is false or NULL.

use datafusion_common::ScalarValue;
use datafusion_common::arrow::array::temporal_conversions::as_date;
use datafusion_common::arrow::array::types::Date32Type;
use datafusion_common::arrow::datatypes::DataType;
use datafusion_expr::expr::InList;
use datafusion_expr::{Between, BinaryExpr, Expr, Like, Operator, TableProviderFilterPushDown};
use finalite::Value;

use crate::source::{Collation, FilterColumn, Source};

/// Largest number of values in a filter, of parts of a filter, and of filters: SQLite limits parameters and the depth
/// of expressions.
const VALUES_MAX: usize = 200;
const DEPTH_MAX: usize = 50;
const FILTERS_MAX: usize = 50;

/// Bits of -0.0.
const NEGATIVE_ZERO: u64 = 1 << 63;

/// A condition, and the values of its parameters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
    /// Names of the columns that it compares.
    pub(crate) columns: Vec<Box<str>>,
    is_exact: bool,
}

impl Condition {
    fn new(sql: String, values: impl Into<Vec<Value>>, is_exact: bool) -> Self {
        Self { sql, values: values.into(), columns: Vec::new(), is_exact }
    }

    fn exact(sql: String, values: impl Into<Vec<Value>>) -> Option<Self> {
        Some(Self::new(sql, values, true))
    }

    fn wider(sql: String, values: impl Into<Vec<Value>>) -> Option<Self> {
        Some(Self::new(sql, values, false))
    }

    fn join(mut self, word: &str, other: Self) -> Self {
        self.sql = format!("({} {word} {})", self.sql, other.sql);
        self.values.extend(other.values);
        self.columns.extend(other.columns);
        self.is_exact &= other.is_exact;
        self
    }
}

/// Returns what SQLite does with each filter.
pub(crate) fn support(source: &Source, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
    let mut left = FILTERS_MAX;
    let support = |filter: &&Expr| match condition(source, filter).filter(|_| left > 0) {
        Some(condition) => {
            left -= 1;
            if condition.is_exact { TableProviderFilterPushDown::Exact } else { TableProviderFilterPushDown::Inexact }
        }
        None => TableProviderFilterPushDown::Unsupported,
    };
    filters.iter().map(support).collect()
}

/// Returns the condition of all filters, and whether it is exact.
pub(crate) fn conditions(source: &Source, filters: &[Expr]) -> (Option<Condition>, bool) {
    let mut is_exact = true;
    let conditions = filters.iter().filter_map(|filter| {
        let condition = condition(source, filter);
        is_exact &= condition.as_ref().is_some_and(|it| it.is_exact);
        condition
    });
    let all = conditions.reduce(|all, next| all.join("AND", next));
    (all, is_exact)
}

fn condition(source: &Source, filter: &Expr) -> Option<Condition> {
    let mut condition = Translation { source, depth: DEPTH_MAX }.of(filter)?;
    condition.columns = filter.column_refs().into_iter().map(|column| column.name.as_str().into()).collect();
    Some(condition).filter(|it| it.values.len() <= VALUES_MAX)
}

struct Translation<'a> {
    source: &'a Source,
    depth: usize,
}

impl<'a> Translation<'a> {
    fn of(&self, filter: &Expr) -> Option<Condition> {
        let inner = Self { source: self.source, depth: self.depth.checked_sub(1)? };
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                match (inner.of(left), inner.of(right)) {
                    (Some(left), Some(right)) => Some(left.join("AND", right)),
                    (left, right) => left.or(right).map(|one| Condition { is_exact: false, ..one }),
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                Some(inner.of(left)?.join("OR", inner.of(right)?))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (&**left, &**right) {
                (column, Expr::Literal(value, _)) => self.column(column)?.compare(*op, value),
                (Expr::Literal(value, _), column) => self.column(column)?.compare(op.swap()?, value),
                _ => None,
            },
            Expr::Between(Between { expr, negated, low, high }) => {
                let (Expr::Literal(low, _), Expr::Literal(high, _)) = (&**low, &**high) else {
                    return None;
                };
                let column = self.column(expr)?;
                if *negated {
                    Some(column.compare(Operator::Lt, low)?.join("OR", column.compare(Operator::Gt, high)?))
                } else {
                    Some(column.compare(Operator::GtEq, low)?.join("AND", column.compare(Operator::LtEq, high)?))
                }
            }
            Expr::InList(InList { expr, list, negated }) => self.column(expr)?.is_in(list, *negated),
            Expr::Like(like) => self.column(&like.expr)?.like(like),
            Expr::IsNull(expr) => self.column(expr)?.is_null(true),
            Expr::IsNotNull(expr) => self.column(expr)?.is_null(false),
            Expr::Column(_) => self.column(filter)?.compare(Operator::Eq, &ScalarValue::Boolean(Some(true))),
            Expr::Not(expr) => self.column(expr)?.compare(Operator::Eq, &ScalarValue::Boolean(Some(false))),
            _ => None,
        }
    }

    fn column(&self, expr: &Expr) -> Option<FilterColumn<'a>> {
        if let Expr::Column(column) = expr { self.source.filter_column(&column.name) } else { None }
    }
}

impl FilterColumn<'_> {
    /// Without the guarantee that each value is of the column's type, values of others compare, and are NULL when read.
    fn checked(&self, condition: Option<Condition>) -> Option<Condition> {
        condition.map(|it| Condition { is_exact: it.is_exact && self.is_strict, ..it })
    }

    fn is_null(&self, is_null: bool) -> Option<Condition> {
        if is_null && !self.is_strict {
            return None;
        }
        let sql = format!("{} IS {}NULL", self.sql, if is_null { "" } else { "NOT " });
        self.checked(Condition::exact(sql, []))
    }

    fn compare(&self, op: Operator, value: &ScalarValue) -> Option<Condition> {
        use ScalarValue as S;
        let sign = match op {
            Operator::Eq => "=",
            Operator::NotEq => "<>",
            Operator::Lt => "<",
            Operator::LtEq => "<=",
            Operator::Gt => ">",
            Operator::GtEq => ">=",
            _ => return None,
        };
        let same = |value| Condition::exact(format!("{} {sign} ?", self.sql), [value]);
        let condition = match (self.data_type, value) {
            (DataType::Int64, &S::Int64(Some(value))) => same(Value::Integer(value)),
            // DataFusion's rules for NaN and two zeros are its own. SQLite stores neither in such a column.
            (DataType::Float64, &S::Float64(Some(value))) if !value.is_nan() && value.to_bits() != NEGATIVE_ZERO => {
                same(Value::Real(value))
            }
            (
                DataType::Utf8 | DataType::LargeUtf8,
                S::Utf8(Some(value)) | S::LargeUtf8(Some(value)) | S::Utf8View(Some(value)),
            ) => self.text(op, sign, value),
            (
                DataType::Binary | DataType::LargeBinary,
                S::Binary(Some(value)) | S::LargeBinary(Some(value)) | S::BinaryView(Some(value)),
            ) => same(Value::Blob(value.clone())),
            (DataType::Boolean, &S::Boolean(Some(value))) => self.boolean(op, value),
            (DataType::Date32, &S::Date32(Some(days))) => self.time(op, i64::from(days) * 86_400),
            (DataType::Timestamp(..), S::TimestampMicrosecond(Some(micros), _)) => {
                self.time(op, micros.div_euclid(1_000_000))
            }
            (&DataType::Decimal128(precision, _), &S::Decimal128(Some(units), _, scale)) if precision <= 15 => {
                self.decimal(op, sign, units, scale)
            }
            _ => None,
        };
        self.checked(condition)
    }

    fn text(&self, op: Operator, sign: &str, value: &str) -> Option<Condition> {
        if !self.is_ordered && !matches!(op, Operator::Eq | Operator::NotEq) {
            return None;
        }
        let value = || Value::Text(value.into());
        let column = &self.sql;
        match self.collation {
            Collation::Binary => Condition::exact(format!("{column} {sign} ?"), [value()]),
            // The first half can use an index of the column's collation.
            Collation::Coarser if op == Operator::Eq => {
                Condition::exact(format!("({column} = ? AND {column} COLLATE BINARY = ?)"), [value(), value()])
            }
            _ => Condition::exact(format!("{column} COLLATE BINARY {sign} ?"), [value()]),
        }
    }

    /// The texts `true` and `false`, in any case, are read as well as 1 and 0: a text is more than any number.
    fn boolean(&self, op: Operator, value: bool) -> Option<Condition> {
        let is_true = match op {
            Operator::Eq => value,
            Operator::NotEq => !value,
            _ => return None,
        };
        Condition::wider(format!("{} {}", self.sql, if is_true { "> 0" } else { "<> 1" }), [])
    }

    /// Texts in any form that begins with the date, at any offset, and Unix seconds are read: the condition leaves room
    /// of a day on both sides of texts, and of a second on both sides of numbers, which are less than texts.
    fn time(&self, op: Operator, seconds: i64) -> Option<Condition> {
        let days = seconds.div_euclid(86_400);
        // Years of four digits.
        if !(-719_000..=2_932_000).contains(&days) {
            return None;
        }
        let text = |days| Some(Value::Text(as_date::<Date32Type>(days)?.to_string()));
        let column = &self.sql;
        let (low, high) = (text(days - 1)?, text(days + 2)?);
        let (low_number, high_number) = (Value::Integer(seconds - 1), Value::Integer(seconds + 1));
        match op {
            Operator::Eq => Condition::wider(
                format!("({column} >= ? AND {column} < ? OR {column} >= ? AND {column} <= ?)"),
                [low, high, low_number, high_number],
            ),
            Operator::Gt | Operator::GtEq => {
                Condition::wider(format!("({column} >= ? OR {column} >= ? AND {column} < '')"), [low, low_number])
            }
            Operator::Lt | Operator::LtEq => {
                Condition::wider(format!("({column} >= '' AND {column} < ? OR {column} <= ?)"), [high, high_number])
            }
            _ => None,
        }
    }

    /// Decimal numbers of at most 15 digits compare as their nearest reals do. Texts are more than any number.
    fn decimal(&self, op: Operator, sign: &str, units: i128, scale: i8) -> Option<Condition> {
        if units.unsigned_abs() >= 10_u128.pow(15) || !(0..=15).contains(&scale) {
            return None;
        }
        let value = Value::Real(format!("{units}e-{scale}").parse().ok()?);
        let column = &self.sql;
        let sql = match op {
            Operator::Eq | Operator::Lt | Operator::LtEq => format!("({column} {sign} ? OR {column} >= '')"),
            _ => format!("{column} {sign} ?"),
        };
        Condition::wider(sql, [value])
    }

    fn is_in(&self, list: &[Expr], is_negated: bool) -> Option<Condition> {
        let (op, word) = if is_negated { (Operator::NotEq, "AND") } else { (Operator::Eq, "OR") };
        let mut conditions = Vec::with_capacity(list.len());
        for item in list {
            let Expr::Literal(value, _) = item else {
                return None;
            };
            match value.is_null() {
                // Equal to nothing; and with it, `NOT IN` is never true.
                true if is_negated => return None,
                true => {}
                false => conditions.push(self.compare(op, value)?),
            }
        }
        let plain = format!("{} = ?", self.sql);
        if conditions.len() > 1 && conditions.iter().all(|condition| condition.sql == plain) {
            let is_exact = conditions.iter().all(|condition| condition.is_exact);
            let sql = format!("{} IN ({})", self.sql, vec!["?"; conditions.len()].join(","));
            let values: Vec<Value> = conditions.into_iter().flat_map(|condition| condition.values).collect();
            return Some(Condition::new(sql, values, is_exact));
        }
        conditions.into_iter().reduce(|all, next| all.join(word, next))
    }

    /// The beginning of a text: a range. SQLite's `LIKE` takes ASCII letters without case, and ends at a NUL.
    fn like(&self, like: &Like) -> Option<Condition> {
        use ScalarValue as S;
        let Expr::Literal(S::Utf8(Some(pattern)) | S::LargeUtf8(Some(pattern)) | S::Utf8View(Some(pattern)), _) =
            &*like.pattern
        else {
            return None;
        };
        let start = pattern.strip_suffix('%').filter(|start| !start.is_empty() && !start.contains(['%', '_', '\\']))?;
        if like.negated || like.case_insensitive || like.escape_char.is_some() {
            return None;
        }
        let from = self.compare(Operator::GtEq, &S::Utf8(Some(start.into())))?;
        match successor(start) {
            Some(end) => Some(from.join("AND", self.compare(Operator::Lt, &S::Utf8(Some(end)))?)),
            None => Some(from),
        }
    }
}

/// Returns the least text that is more than all that begin with this one.
fn successor(start: &str) -> Option<String> {
    let mut chars: Vec<char> = start.chars().collect();
    while let Some(last) = chars.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}
