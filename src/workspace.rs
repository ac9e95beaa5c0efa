//! Items for the other crates of finalite's workspace. They are outside semver: each of those crates depends on one
//! exact version of finalite.

use crate::insert::InsertColumn;
use crate::scan::{ColumnBatch, ColumnType, Scan};
use crate::{Connection, ConversionError, Error, Params, Result};

pub use crate::extend::virtual_table::positions::{plan_positions, positions};
pub use crate::insert::insertion::{InsertFailure, Insertion};
pub use crate::value::RawParam;
pub use crate::worker::{Stop, Worker};

/// Calls the closure with batches as [`Scan::owned_batches`] does. A result without rows is one empty batch, which has
/// the columns.
///
/// # Errors
///
/// See [`Scan::owned_batches`].
pub fn owned_batches<'p, P: Params<'p>, E: From<Error>>(
    scan: Scan<'_, P, E>,
    rows: usize,
    take: impl FnMut(ColumnBatch) -> Result<(), E>,
) -> Result<u64, E> {
    scan.hand_over_batches(rows, true, take)
}

/// Returns the type that a declaration in a table promises; [`ColumnType::Null`] if it promises none.
#[must_use]
pub fn promised_type(declaration: Option<&str>) -> ColumnType {
    ColumnType::affinity(declaration)
}

/// Returns the name of a table as SQL, with that of its database if the name has one that the connection knows.
#[must_use]
pub fn quoted_table(conn: &Connection, table: &str) -> String {
    conn.quoted_table(table)
}

/// Returns a column that is read by a closure, which must not panic: SQLite calls it.
pub fn lent_column<'a>(
    len: usize,
    read: impl Fn(usize) -> Result<RawParam<'a>, ConversionError> + 'a,
) -> InsertColumn<'a> {
    InsertColumn::read_by(len, read)
}

/// Version of finalite.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
