//! The table function `generate_series`.

use super::{
    CallbackError, CellCall, Constraint, ConstraintOperator, Declared, FilterCall, IndexQuery, TableCall, TableCursor,
    TableDefinition, TableKind, TableOptions, VirtualTable,
};
use crate::value::ValueRef;

/// The integers from `start` to `stop`, each `step` after the one before: the table function of SQLite's shell, which the
/// library lacks.
///
/// `stop` is 4294967295 if it is not given, and `step` is 1. A step of 0 counts as 1; a negative one counts down. If an
/// argument is NULL, there is no row; one that is no integer is an error. Bounds in WHERE, and LIMIT, end the series:
/// `WHERE value BETWEEN 10 AND 20`. The table has no rowid.
///
/// # Example
///
/// ```
/// use finalite::{Connection, extend::virtual_table::Series};
///
/// let conn = Connection::open_in_memory()?;
/// conn.create_module::<Series>("generate_series", ())?;
/// assert_eq!(conn.query_all::<i64>("SELECT value FROM generate_series(5, 20, 5)", ())?, [5, 10, 15, 20]);
/// let sql = "SELECT value FROM generate_series(1) WHERE value > 7 ORDER BY value LIMIT 2";
/// assert_eq!(conn.query_all::<i64>(sql, ())?, [8, 9]);
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [The generate_series Table-Valued Function](https://sqlite.org/series.html)
#[derive(Debug)]
pub struct Series(());

/// Columns.
const VALUE: usize = 0;
const START: usize = 1;
const STOP: usize = 2;
const STEP: usize = 3;

/// Bits of the plan: the values that are passed, in this order, and whether the order is reversed.
const HAS_START: i32 = 1;
const HAS_STOP: i32 = 2;
const HAS_STEP: i32 = 4;
const HAS_EQUAL: i32 = 8;
const HAS_LOWEST: i32 = 16;
const HAS_ABOVE: i32 = 32;
const HAS_HIGHEST: i32 = 64;
const HAS_BELOW: i32 = 128;
const IS_ASCENDING: i32 = 256;
const IS_DESCENDING: i32 = 512;

/// Last number of a series without an end, as in SQLite's shell.
const STOP_MAX: i64 = 4_294_967_295;

impl VirtualTable for Series {
    type Shared = ();
    type Cursor<'t> = SeriesCursor;

    const KIND: TableKind = TableKind::EponymousOnly;
    const OPTIONS: TableOptions = TableOptions::new().innocuous();

    fn connect(_: &(), _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        // By its whole key: another call has the same value.
        let schema = "CREATE TABLE x(value INTEGER, start HIDDEN, stop HIDDEN, step HIDDEN, \
                      PRIMARY KEY (value, start, stop, step)) WITHOUT ROWID";
        Ok(Declared::new(schema, Self(())))
    }

    fn best_index(&self, query: &mut IndexQuery<'_>) -> Result<(), CallbackError> {
        use ConstraintOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        let mut plan = 0;
        for (column, bit) in [(START, HAS_START), (STOP, HAS_STOP), (STEP, HAS_STEP)] {
            let is_it = |it: &Constraint| it.column() == Some(column) && it.operator() == Equal;
            match query.find(column, Equal) {
                Some(constraint) => {
                    query.omit(constraint)?;
                    plan |= bit;
                }
                None if query.constraints().any(|it| is_it(&it)) => {
                    query.refuse();
                    return Ok(());
                }
                // There may be another way, with a start. If there is none, `filter` says so.
                None if column == START => query.set_cost(f64::MAX),
                None => {}
            }
        }
        // SQLite still tests these.
        for (operator, bit) in [
            (Equal, HAS_EQUAL),
            (GreaterOrEqual, HAS_LOWEST),
            (Greater, HAS_ABOVE),
            (LessOrEqual, HAS_HIGHEST),
            (Less, HAS_BELOW),
        ] {
            if let Some(constraint) = query.find(VALUE, operator) {
                query.pass(constraint)?;
                plan |= bit;
            }
        }
        let order: Vec<_> = query.order_by().collect();
        if let [term] = order[..]
            && term.column == Some(VALUE)
        {
            plan |= if term.is_descending { IS_DESCENDING } else { IS_ASCENDING };
            query.consume_order();
        }
        let is_bounded = plan & (HAS_STOP | HAS_EQUAL | HAS_HIGHEST | HAS_BELOW) != 0;
        query.set_rows(if is_bounded { 1_000 } else { 1 << 31 });
        if plan & HAS_START != 0 {
            query.set_cost(if is_bounded { 2.0 } else { 2_147_483_647.0 });
        }
        query.set_plan(plan);
        Ok(())
    }

    fn open(&self, _: &()) -> Result<SeriesCursor, CallbackError> {
        Ok(SeriesCursor::default())
    }
}

/// A cursor on a series.
#[derive(Debug, Default)]
pub struct SeriesCursor {
    arguments: [i64; 3],
    value: i64,
    /// Difference of the next value to this one, as the order of the statement needs it.
    step: i64,
    /// Number of values after this one.
    left: u64,
}

impl SeriesCursor {
    /// Sets the values: those of the series that are within the bounds. Returns whether there is one.
    fn set(&mut self, [start, stop, step]: [i64; 3], lowest: i64, highest: i64, order: Option<bool>) -> bool {
        self.arguments = [start, stop, step];
        let step = if step == 0 { 1 } else { step };
        let distance = step.unsigned_abs();
        if if step > 0 { start > stop } else { start < stop } {
            return false;
        }
        // The least value, the greatest, and the bounds, by the numbers of steps from the start.
        let count = stop.abs_diff(start) / distance;
        let at = |number: u64| {
            let way = i128::from(number) * i128::from(step);
            i64::try_from(i128::from(start) + way).unwrap_or(start)
        };
        let (near, far) = if step > 0 { (lowest, highest) } else { (highest, lowest) };
        let is_before = |value: i64, bound: i64| if step > 0 { value < bound } else { value > bound };
        let first = if is_before(start, near) { near.abs_diff(start).div_ceil(distance) } else { 0 };
        if is_before(far, start) {
            return false;
        }
        let last = count.min(far.abs_diff(start) / distance);
        if first > last {
            return false;
        }
        self.left = last - first;
        // Whether the order of the statement is that of the series.
        let is_forward = order.is_none_or(|is_ascending| is_ascending == (step > 0));
        (self.value, self.step) = if is_forward { (at(first), step) } else { (at(last), step.wrapping_neg()) };
        true
    }
}

/// Returns an argument, of which a number or a text that is an integer will do, as in SQLite's shell; `None` for NULL.
fn integer(call: &FilterCall<'_>, argument: usize) -> Result<Option<i64>, CallbackError> {
    let parsed = match call.value(argument)? {
        ValueRef::Real(real) => real.to_string().parse().ok(),
        ValueRef::Text(text) => std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()),
        _ => None,
    };
    match parsed {
        Some(integer) => Ok(Some(integer)),
        None => Ok(call.get(argument)?),
    }
}

/// Returns the integers next to a bound, from above and from below: the bound itself, if it is an integer. SQLite tests
/// the values that remain, so that it need not be said whether the bound is among them, and a bound of another type is
/// left to it.
fn integers(bound: ValueRef<'_>) -> Option<(i64, i64)> {
    // Beyond the integers, the last one is meant.
    let nearest = |whole: f64| whole.to_string().parse().unwrap_or(if whole < 0.0 { i64::MIN } else { i64::MAX });
    match bound {
        ValueRef::Integer(bound) => Some((bound, bound)),
        ValueRef::Real(bound) => Some((nearest(bound.ceil()), nearest(bound.floor()))),
        _ => None,
    }
}

impl TableCursor for SeriesCursor {
    fn filter(&mut self, call: &FilterCall<'_>) -> Result<bool, CallbackError> {
        let plan = call.plan();
        if plan & HAS_START == 0 {
            return Err("argument 1 is missing, the start of the series".into());
        }
        let mut next = 0;
        let mut passed = |bit: i32| {
            let argument = (plan & bit != 0).then_some(next);
            next += usize::from(argument.is_some());
            argument
        };
        let mut arguments = [0, STOP_MAX, 1];
        for (argument, bit) in arguments.iter_mut().zip([HAS_START, HAS_STOP, HAS_STEP]) {
            if let Some(number) = passed(bit) {
                match integer(call, number)? {
                    Some(value) => *argument = value,
                    None => return Ok(false),
                }
            }
        }
        let (mut lowest, mut highest) = (i64::MIN, i64::MAX);
        for bit in [HAS_EQUAL, HAS_LOWEST, HAS_ABOVE, HAS_HIGHEST, HAS_BELOW] {
            let Some(bound) = passed(bit).map(|number| call.value(number)).transpose()? else {
                continue;
            };
            // No value is in a relation to NULL.
            if bound == ValueRef::Null {
                return Ok(false);
            }
            let Some((from, to)) = integers(bound) else {
                continue;
            };
            if matches!(bit, HAS_EQUAL | HAS_LOWEST | HAS_ABOVE) {
                lowest = lowest.max(from);
            }
            if matches!(bit, HAS_EQUAL | HAS_HIGHEST | HAS_BELOW) {
                highest = highest.min(to);
            }
        }
        let order = match plan & (IS_ASCENDING | IS_DESCENDING) {
            IS_ASCENDING => Some(true),
            IS_DESCENDING => Some(false),
            _ => None,
        };
        Ok(lowest <= highest && self.set(arguments, lowest, highest, order))
    }

    #[inline(always)]
    fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        // The last step may lead beyond the integers.
        self.value = self.value.wrapping_add(self.step);
        Ok(is_left)
    }

    #[inline(always)]
    fn column(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        match column {
            VALUE => cell.set(self.value),
            _ => cell.set(self.arguments.get(column - 1).copied()),
        }
    }

    /// A table that is declared WITHOUT ROWID is not asked.
    fn rowid(&self) -> Result<i64, CallbackError> {
        Ok(self.value)
    }
}
