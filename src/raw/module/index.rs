//! `xBestIndex`: SQLite's question for a way to read the table.

use std::ffi::{CStr, CString, c_int};
use std::fmt;
use std::ptr::{self, NonNull};

use super::connect::Connected;
use super::{VirtualTable, sqlite3_vtab_collation, sqlite3_vtab_distinct, sqlite3_vtab_in, sqlite3_vtab_rhs_value};
use super::{failure::Failure, to_sqlite};
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::raw::value::{self, OutOfMemory};
use crate::raw::{Db, ffi, list};
use crate::value::ValueRef;

/// One question of SQLite, how the table would be read with some constraints, and its answer.
///
/// The table chooses among the [`constraints`](Self::constraints) those that it can use, and has their right-hand sides
/// [passed](Self::pass) to [`filter`](super::TableCursor::filter), with a plan that tells what to do with them. SQLite
/// asks several times, and takes the cheapest answer.
///
/// C: [sqlite3_index_info](https://sqlite.org/c3ref/index_info.html)
pub struct IndexQuery<'call> {
    info: NonNull<ffi::sqlite3_index_info>,
    db: &'call Db,
    /// Number of the constraints whose values are passed.
    passed: c_int,
    is_refused: bool,
    plan_text: Option<CString>,
}

/// A constraint of a statement on a column: a term of WHERE, of a join, or an argument of a table that is called as a
/// function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constraint {
    index: usize,
    column: Option<usize>,
    operator: ConstraintOperator,
    is_usable: bool,
}

/// A term of ORDER BY, or of GROUP BY or DISTINCT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OrderTerm {
    /// 0-based column; `None` for the rowid.
    pub column: Option<usize>,
    /// Whether the greatest value comes first.
    pub is_descending: bool,
}

/// Operator of a [`Constraint`].
///
/// C: [Virtual Table Constraint Operator Codes](https://sqlite.org/c3ref/c_index_constraint_eq.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConstraintOperator {
    /// `=`. For a list: [`IndexQuery::is_in_list`].
    Equal,
    /// `>`
    Greater,
    /// `<=`
    LessOrEqual,
    /// `<`
    Less,
    /// `>=`
    GreaterOrEqual,
    /// `MATCH`
    Match,
    /// `LIKE`
    Like,
    /// `GLOB`
    Glob,
    /// `REGEXP`
    Regexp,
    /// `<>`
    NotEqual,
    /// `IS NOT`
    IsNot,
    /// `IS NOT NULL`
    IsNotNull,
    /// `IS NULL`
    IsNull,
    /// `IS`
    Is,
    /// `LIMIT`. It has no column.
    Limit,
    /// `OFFSET`. It has no column.
    Offset,
    /// An [overloaded function](super::OverloadedFunction::with_constraint) that is a condition, with its number.
    Function(u8),
    /// An operator that finalite does not know.
    Other(u8),
}

impl ConstraintOperator {
    fn new(code: u8) -> Self {
        // The values of the C constants, of which the oldest bindings lack some.
        match code {
            2 => Self::Equal,
            4 => Self::Greater,
            8 => Self::LessOrEqual,
            16 => Self::Less,
            32 => Self::GreaterOrEqual,
            64 => Self::Match,
            65 => Self::Like,
            66 => Self::Glob,
            67 => Self::Regexp,
            68 => Self::NotEqual,
            69 => Self::IsNot,
            70 => Self::IsNotNull,
            71 => Self::IsNull,
            72 => Self::Is,
            73 => Self::Limit,
            74 => Self::Offset,
            150.. => Self::Function(code - 150),
            _ => Self::Other(code),
        }
    }
}

impl Constraint {
    /// Returns the 0-based column; `None` for the rowid, for `LIMIT` and for `OFFSET`.
    #[must_use]
    pub fn column(self) -> Option<usize> {
        self.column
    }

    /// Whether it constrains the rowid.
    #[must_use]
    pub fn is_of_rowid(self) -> bool {
        self.column.is_none() && !matches!(self.operator, ConstraintOperator::Limit | ConstraintOperator::Offset)
    }

    /// Returns the operator.
    #[must_use]
    pub fn operator(self) -> ConstraintOperator {
        self.operator
    }

    /// Whether its right-hand side is known before the table is read. If not, it comes from a table that SQLite would
    /// read later, and the constraint cannot be passed.
    #[must_use]
    pub fn is_usable(self) -> bool {
        self.is_usable
    }
}

/// Order and repetitions that the statement needs of the rows, beyond [`IndexQuery::order_by`].
///
/// C: [sqlite3_vtab_distinct](https://sqlite.org/c3ref/vtab_distinct.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distinctness {
    /// All rows, in the order of the terms: ORDER BY.
    Ordered,
    /// All rows, so that those which are equal in the terms come one after the other, in any order: GROUP BY.
    Grouped,
    /// As `Grouped`, but of rows that are equal in all [used](IndexQuery::uses_column) columns, one suffices: DISTINCT.
    Distinct,
    /// In the order of the terms, and of rows that are equal in all [used](IndexQuery::uses_column) columns, one suffices:
    /// DISTINCT with ORDER BY.
    DistinctAndOrdered,
}

impl<'call> IndexQuery<'call> {
    /// # Safety
    ///
    /// SQLite has called xBestIndex of a table of `db` with this struct, and `'call` ends with that call.
    unsafe fn new(db: &'call Db, info: *mut ffi::sqlite3_index_info) -> Self {
        // SAFETY: the struct of a call, which is not NULL (the caller's promise, rule 25).
        let info = unsafe { NonNull::new_unchecked(info) };
        Self { info, db, passed: 0, is_refused: false, plan_text: None }
    }

    fn info(&self) -> &ffi::sqlite3_index_info {
        // SAFETY: `new` was given SQLite's struct, which lives during the call and which SQLite does not change meanwhile
        // (vtab.html, xBestIndex; rule 25). Changes here need `&mut self`.
        unsafe { self.info.as_ref() }
    }

    fn info_mut(&mut self) -> &mut ffi::sqlite3_index_info {
        // SAFETY: as in `info`; no other reference exists, as `self` is borrowed exclusively (rule 25).
        unsafe { self.info.as_mut() }
    }

    fn raw_constraints(&self) -> &[ffi::sqlite3_index_constraint] {
        match self.info().nConstraint {
            // SAFETY: `nConstraint` elements, valid and unchanged during the call; none may be NULL (vtab.html,
            // xBestIndex; rule 25).
            1.. => unsafe {
                std::slice::from_raw_parts(self.info().aConstraint, list::to_usize(self.info().nConstraint))
            },
            _ => &[],
        }
    }

    fn raw_usages(&self) -> &[ffi::sqlite3_index_constraint_usage] {
        match self.info().nConstraint {
            // SAFETY: SQLite has an element here for each constraint, valid during the call; changes need `&mut self`
            // (vtab.html, xBestIndex; rule 25).
            1.. => unsafe {
                std::slice::from_raw_parts(self.info().aConstraintUsage, list::to_usize(self.info().nConstraint))
            },
            _ => &[],
        }
    }

    fn usages(&mut self) -> &mut [ffi::sqlite3_index_constraint_usage] {
        match self.info().nConstraint {
            // SAFETY: SQLite has an element here for each constraint, valid during the call, to which nothing else refers
            // (vtab.html, xBestIndex; rule 25).
            1.. => unsafe {
                std::slice::from_raw_parts_mut(self.info().aConstraintUsage, list::to_usize(self.info().nConstraint))
            },
            _ => &mut [],
        }
    }

    /// Returns the constraints of the statement on the table.
    pub fn constraints(&self) -> impl ExactSizeIterator<Item = Constraint> + use<> {
        let constraints: Vec<Constraint> = self
            .raw_constraints()
            .iter()
            .enumerate()
            .map(|(index, raw)| {
                let operator = ConstraintOperator::new(raw.op);
                let has_column = !matches!(operator, ConstraintOperator::Limit | ConstraintOperator::Offset);
                let column = usize::try_from(raw.iColumn).ok().filter(|_| has_column);
                Constraint { index, column, operator, is_usable: raw.usable != 0 }
            })
            .collect();
        constraints.into_iter()
    }

    /// Returns the first usable constraint on a column with this operator.
    #[must_use]
    pub fn find(&self, column: usize, operator: ConstraintOperator) -> Option<Constraint> {
        self.constraints().find(|it| it.is_usable && it.column == Some(column) && it.operator == operator)
    }

    /// Has the right-hand side of a constraint passed to [`filter`](super::TableCursor::filter). Returns the 0-based
    /// number that it has there: the first that is passed has 0, the next one 1.
    ///
    /// SQLite still tests the constraint for each row, unless the table [omits](Self::omit) that. One that is passed as
    /// `OFFSET` is omitted: SQLite would leave out as many rows again. A constraint that was passed before keeps its number.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a constraint that is not usable, or is not one of this query.
    pub fn pass(&mut self, constraint: Constraint) -> Result<usize> {
        let misuse = |reason| Err(Error::new(ErrorKind::Misuse { reason }));
        let raw = self.raw_constraints().get(constraint.index).copied();
        let passed = self.passed;
        let Some((usage, raw)) = self.usages().get_mut(constraint.index).zip(raw) else {
            return misuse("the constraint is not one of this query");
        };
        if raw.usable == 0 {
            return misuse("the constraint is not usable: its right-hand side is not known when the table is read");
        }
        if ConstraintOperator::new(raw.op) == ConstraintOperator::Offset {
            usage.omit = 1;
        }
        if usage.argvIndex == 0 {
            usage.argvIndex = passed + 1;
            self.passed = passed + 1;
            return Ok(list::to_usize(passed));
        }
        Ok(list::to_usize(usage.argvIndex - 1))
    }

    /// Has the right-hand side of a constraint passed, as [`pass`](Self::pass) does, and tells SQLite not to test the
    /// constraint: each row that the cursor visits fulfils it.
    ///
    /// SQLite leaves only the first 16 constraints to the table, and tests the others in any case, as
    /// [`is_omitted`](Self::is_omitted) tells. So a table sets the columns of its rows such that they pass.
    ///
    /// # Errors
    ///
    /// See [`pass`](Self::pass).
    pub fn omit(&mut self, constraint: Constraint) -> Result<usize> {
        let number = self.pass(constraint)?;
        if let Some(usage) = self.usages().get_mut(constraint.index) {
            usage.omit = 1;
        }
        Ok(number)
    }

    /// Whether SQLite leaves the test of a constraint to the table, after [`omit`](Self::omit). It does not for the
    /// constraints behind the first 16, nor for a comparison of row values that is not one of equality. A table whose rows
    /// would not pass, such as an argument that is NULL, has to [refuse](Self::refuse) or to fail then.
    #[must_use]
    pub fn is_omitted(&self, constraint: Constraint) -> bool {
        const MAX: usize = list::OMITTED_MAX;
        let usage = self.raw_usages().get(constraint.index);
        usage.is_some_and(|usage| {
            let is_early = constraint.index < MAX && list::to_usize(usage.argvIndex) <= MAX;
            let is_of_column = !matches!(constraint.operator, ConstraintOperator::Limit | ConstraintOperator::Offset);
            usage.omit != 0 && (is_early || !is_of_column)
        })
    }

    /// Returns the name of the collation by which SQLite would compare the values of a constraint: `BINARY`, `NOCASE` or
    /// another one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a constraint that is not one of this query.
    ///
    /// C: [sqlite3_vtab_collation](https://sqlite.org/c3ref/vtab_collation.html)
    pub fn collation(&self, constraint: Constraint) -> Result<&str> {
        let index = self.checked(constraint)?;
        // SAFETY: within xBestIndex, with its own struct and the index of a constraint of it (rule 25,
        // c3ref/vtab_collation.html).
        let name = unsafe { sqlite3_vtab_collation(self.info.as_ptr(), index) };
        if name.is_null() {
            return Ok("BINARY");
        }
        // SAFETY: not NULL: the NUL-terminated name of a collation, which lives as long as the call, in which no collation
        // is removed (rules 4, 22).
        Ok(unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("BINARY"))
    }

    /// Returns the right-hand side of a constraint, if it is known already: it is a literal, or a bound parameter and the
    /// statement is prepared again for its value. It may serve to estimate the cost.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a constraint that is not one of this query; [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3_vtab_rhs_value](https://sqlite.org/c3ref/vtab_rhs_value.html)
    pub fn right_hand_value(&self, constraint: Constraint) -> Result<Option<ValueRef<'_>>> {
        let index = self.checked(constraint)?;
        let mut found = ptr::null_mut();
        // SAFETY: within xBestIndex, with its own struct, the index of a constraint of it, and an out pointer (rule 25,
        // c3ref/vtab_rhs_value.html).
        let code = unsafe { sqlite3_vtab_rhs_value(self.info.as_ptr(), index, &raw mut found) };
        if code == ffi::SQLITE_NOTFOUND || (code == ffi::SQLITE_OK && found.is_null()) {
            return Ok(None);
        }
        if code != ffi::SQLITE_OK {
            return Err(self.db.fault(code).into());
        }
        // SAFETY: c3ref/vtab_rhs_value.html: a protected value that lives until xBestIndex has returned, which `self`
        // does not outlive; it is read as its own type alone (rules 9, 25).
        unsafe { value::read(found) }.map(Some).map_err(|OutOfMemory| Fault::no_memory().into())
    }

    /// Whether an [`Equal`](ConstraintOperator::Equal) constraint is `IN` with a list. By default
    /// [`filter`](super::TableCursor::filter) is called once for each value of the list.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a constraint that is not one of this query.
    ///
    /// C: [sqlite3_vtab_in](https://sqlite.org/c3ref/vtab_in.html)
    pub fn is_in_list(&self, constraint: Constraint) -> Result<bool> {
        let index = self.checked(constraint)?;
        // SAFETY: within xBestIndex, with its own struct and the index of a constraint of it; -1 asks (rule 25,
        // c3ref/vtab_in.html).
        Ok(unsafe { sqlite3_vtab_in(self.info.as_ptr(), index, -1) } != 0)
    }

    /// Has all values of an `IN` list passed at once, as [`pass`](Self::pass) does one: the cursor reads them by
    /// [`FilterCall::in_list`](super::FilterCall::in_list). Returns the number of the argument; `None` if the constraint
    /// is no such list, in which case nothing was changed.
    ///
    /// # Errors
    ///
    /// See [`pass`](Self::pass).
    ///
    /// C: [sqlite3_vtab_in](https://sqlite.org/c3ref/vtab_in.html)
    pub fn pass_in_list(&mut self, constraint: Constraint) -> Result<Option<usize>> {
        if !self.is_in_list(constraint)? {
            return Ok(None);
        }
        let number = self.pass(constraint)?;
        let index = self.checked(constraint)?;
        // SAFETY: within xBestIndex, with its own struct and the index of a constraint of it; 1 asks for all values at
        // once (rule 25, c3ref/vtab_in.html).
        unsafe { sqlite3_vtab_in(self.info.as_ptr(), index, 1) };
        Ok(Some(number))
    }

    fn checked(&self, constraint: Constraint) -> Result<c_int> {
        let index = c_int::try_from(constraint.index).ok().filter(|&index| index < self.info().nConstraint);
        index.ok_or_else(|| Error::new(ErrorKind::Misuse { reason: "the constraint is not one of this query" }))
    }

    /// Returns the terms in whose order the statement needs the rows; see [`distinctness`](Self::distinctness).
    pub fn order_by(&self) -> impl ExactSizeIterator<Item = OrderTerm> + use<> {
        let terms = match self.info().nOrderBy {
            // SAFETY: `nOrderBy` elements, valid and unchanged during the call (vtab.html, xBestIndex; rule 25).
            1.. => unsafe { std::slice::from_raw_parts(self.info().aOrderBy, list::to_usize(self.info().nOrderBy)) },
            _ => &[],
        };
        let terms: Vec<OrderTerm> = terms
            .iter()
            .map(|raw| OrderTerm { column: usize::try_from(raw.iColumn).ok(), is_descending: raw.desc != 0 })
            .collect();
        terms.into_iter()
    }

    /// Tells SQLite that the rows come as the statement needs them ([`order_by`](Self::order_by),
    /// [`distinctness`](Self::distinctness)), so that it does not sort them. If they do not, the result is wrong.
    pub fn consume_order(&mut self) {
        self.info_mut().orderByConsumed = 1;
    }

    /// Returns the order and the repetitions that the statement needs.
    #[must_use]
    pub fn distinctness(&self) -> Distinctness {
        // SAFETY: within xBestIndex, with its own struct (rule 25, c3ref/vtab_distinct.html).
        match unsafe { sqlite3_vtab_distinct(self.info.as_ptr()) } {
            1 => Distinctness::Grouped,
            2 => Distinctness::Distinct,
            3 => Distinctness::DistinctAndOrdered,
            _ => Distinctness::Ordered,
        }
    }

    /// Whether the statement may use a column, 0-based. Columns from the 64th on are used together.
    #[must_use]
    pub fn uses_column(&self, column: usize) -> bool {
        let bit = u32::try_from(column.min(63)).unwrap_or(63);
        self.info().colUsed >> bit & 1 != 0
    }

    /// Sets the number of the plan, which [`filter`](super::TableCursor::filter) gets. By default it is 0.
    pub fn set_plan(&mut self, plan: i32) {
        self.info_mut().idxNum = plan;
    }

    /// Sets a text of the plan, which [`filter`](super::TableCursor::filter) gets. `EXPLAIN QUERY PLAN` shows it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a text that contains a NUL character.
    pub fn set_plan_text(&mut self, text: impl Into<String>) -> Result<()> {
        let text = CString::new(text.into())
            .map_err(|_| Error::new(ErrorKind::Misuse { reason: "the text of the plan contains a NUL character" }))?;
        self.plan_text = Some(text);
        Ok(())
    }

    /// Sets the estimated cost, as a number of disk accesses. By default it is that of a very large table.
    pub fn set_cost(&mut self, cost: f64) {
        self.info_mut().estimatedCost = if cost.is_nan() { f64::MAX } else { cost };
    }

    /// Sets the estimated number of rows. By default it is 25.
    pub fn set_rows(&mut self, rows: u64) {
        self.info_mut().estimatedRows = i64::try_from(rows).unwrap_or(i64::MAX);
    }

    /// Tells SQLite that the cursor visits at most one row.
    ///
    /// Of a writable table that visits several, SQLite changes a row while the cursor still stands before others: it finds
    /// the rows to change first only where there may be more than one.
    pub fn set_unique(&mut self) {
        self.info_mut().idxFlags |= ffi::SQLITE_INDEX_SCAN_UNIQUE;
    }

    /// Refuses to read the table with the constraints that are usable, for example because an argument is missing that
    /// comes from another table. If SQLite finds no other order of the tables, the statement fails with "no query
    /// solution".
    pub fn refuse(&mut self) {
        self.is_refused = true;
    }
}

impl fmt::Debug for IndexQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexQuery")
            .field("constraints", &self.constraints().collect::<Vec<_>>())
            .field("order_by", &self.order_by().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

pub(super) unsafe extern "C" fn best_index<T: VirtualTable>(
    base: *mut ffi::sqlite3_vtab,
    info: *mut ffi::sqlite3_index_info,
) -> c_int {
    // SAFETY: the table of this call (rule 25).
    let connected = unsafe { Connected::<T>::of(base) };
    // SAFETY: the struct of this call, at whose end the value is gone (rule 25).
    let mut query = unsafe { IndexQuery::new(connected.db(), info) };
    if let Err(failure) = connected.try_call("best_index", |table| table.best_index(&mut query)) {
        // SQLITE_CONSTRAINT would refuse the plan, in silence.
        return connected.report(Failure::without_code(failure, ffi::SQLITE_CONSTRAINT));
    }
    if query.is_refused {
        return ffi::SQLITE_CONSTRAINT;
    }
    if let Some(text) = query.plan_text.take() {
        let text = to_sqlite(text.to_str().unwrap_or_default());
        if text.is_null() {
            return ffi::SQLITE_NOMEM;
        }
        // SQLite frees it, as it has its own copy of no text.
        query.info_mut().idxStr = text;
        query.info_mut().needToFreeIdxStr = 1;
    }
    ffi::SQLITE_OK
}
