//! Virtual tables: tables of SQL whose rows a type of the program has.
//!
//! A type that implements [`VirtualTable`] is registered as a module by
//! [`Connection::create_module`](crate::Connection::create_module). It declares its columns, says which constraints it
//! can use ([`best_index`](VirtualTable::best_index)), and opens cursors, which visit the rows ([`TableCursor`]).
//!
//! ```
//! use finalite::Connection;
//! use finalite::extend::CallbackError;
//! use finalite::extend::virtual_table::{
//!     CellCall, ConstraintOperator, Declared, FilterCall, IndexQuery, TableCall, TableCursor, TableDefinition, TableKind,
//!     VirtualTable,
//! };
//!
//! /// `SELECT value FROM powers(2)`: the powers of a number.
//! struct Powers;
//!
//! struct Power {
//!     base: i64,
//!     value: i64,
//! }
//!
//! impl VirtualTable for Powers {
//!     type Shared = ();
//!     type Cursor<'t> = Power;
//!
//!     const KIND: TableKind = TableKind::EponymousOnly;
//!
//!     fn connect(_: &(), _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
//!         Ok(Declared::new("CREATE TABLE x(value INTEGER, base HIDDEN)", Self))
//!     }
//!
//!     fn best_index(&self, query: &mut IndexQuery<'_>) -> Result<(), CallbackError> {
//!         match query.find(1, ConstraintOperator::Equal) {
//!             Some(base) => query.omit(base).map(drop)?,
//!             None => query.refuse(),
//!         }
//!         Ok(())
//!     }
//!
//!     fn open(&self, _: &()) -> Result<Power, CallbackError> {
//!         Ok(Power { base: 0, value: 1 })
//!     }
//! }
//!
//! impl TableCursor for Power {
//!     fn filter(&mut self, call: &FilterCall<'_>) -> Result<bool, CallbackError> {
//!         (self.base, self.value) = (call.get(0)?, 1);
//!         Ok(true)
//!     }
//!
//!     fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
//!         let next = self.value.checked_mul(self.base);
//!         self.value = next.unwrap_or(self.value);
//!         Ok(next.is_some())
//!     }
//!
//!     fn column(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
//!         cell.set(if column == 0 { self.value } else { self.base })
//!     }
//!
//!     fn rowid(&self) -> Result<i64, CallbackError> {
//!         Ok(self.value)
//!     }
//! }
//!
//! let conn = Connection::open_in_memory()?;
//! conn.create_module::<Powers>("powers", ())?;
//! assert_eq!(conn.query_all::<i64>("SELECT value FROM powers(3) WHERE value < 30", ())?, [1, 3, 9, 27]);
//! assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM powers(2)", ())?, 63);
//! # Ok::<(), finalite::Error>(())
//! ```
//!
//! # Kinds
//!
//! | [`TableKind`] | In SQL |
//! |---|---|
//! | [`Ordinary`](TableKind::Ordinary) | `CREATE VIRTUAL TABLE t USING module(arguments)`, kept in the schema |
//! | [`Eponymous`](TableKind::Eponymous) | both |
//! | [`EponymousOnly`](TableKind::EponymousOnly) | `SELECT .. FROM module`, or `module(arguments)`, which are hidden columns |
//!
//! A table that is written implements [`WritableTable`]; one whose changes are undone with the transaction implements
//! [`TransactionalTable`]. Each has a call of its own that registers it, and lacks the methods that its trait lacks: SQLite
//! refuses to write to a table that is only a [`VirtualTable`].
//!
//! # Rules
//!
//! - Within a method the connection refuses every use by another handle, with
//!   [`ErrorKind::Misuse`](crate::ErrorKind::Misuse). A method reads through the connection of its call, also the table that
//!   it belongs to.
//! - An error of a method becomes SQLite's message. It is the source of
//!   [`ErrorKind::VirtualTable`](crate::ErrorKind::VirtualTable), which names the table and the method. [`TableError`] has
//!   another result code than `SQLITE_ERROR`.
//! - A panic ends the statement, and is resumed by the call that runs it.
//! - A cursor is dropped before its table, and the table before the [shared](VirtualTable::Shared) value, in every order in
//!   which statements, tables, modules and the connection end. While the connection closes, only Drop runs.
//! - A name that is registered again, or [removed](crate::Connection::remove_module), concerns tables that are connected
//!   later. Those that are connected go on with the module that they have.

use super::aggregate::CallbackError;

mod calls;
#[cfg(feature = "csv")]
mod csv;
mod functions;
pub(crate) mod positions;
mod register;
mod series;
mod slice;

pub use crate::raw::module::{
    CellCall, ConflictPolicy, Constraint, ConstraintOperator, Declared, Distinctness, FilterCall, IndexQuery,
    IntegrityCheck, NewRow, OldRow, OrderTerm, OverloadedFunction, TableCall, TableCursor, TableDefinition, TableError,
    TableKind, TableOptions, TransactionalTable, VirtualTable, WritableTable,
};
pub use calls::InList;
#[cfg(feature = "csv")]
pub use csv::{Csv, CsvCursor};
pub use series::Series;
