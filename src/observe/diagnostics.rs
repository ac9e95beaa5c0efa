//! Memory figures and open handles as SQL tables.

use super::handles::{self, LiveHandles, OpenHandle};
use super::memory;
use crate::Connection;
use crate::error::Result;
use crate::extend::TableColumns;
use crate::raw::allocator;
use crate::track::HandleKind;
use crate::track::figures::AccountMemory;

impl Connection {
    /// Adds two tables to this connection. They show the state of the whole process when a query begins. Views and
    /// triggers of a database file cannot use them.
    ///
    /// `finalite_memory(scope, connection, opened_at, bytes, peak_bytes, blocks)`: one row for the `process`, one for
    /// each open `connection`, one for each `closed connection` to which memory is still charged, and one for the
    /// `unattributed` memory. See [`memory`].
    ///
    /// `finalite_handles(kind, handles, id, parent, opened_at, age_ms, running_ms, thread, sql)`: one row for each
    /// recorded handle, with 1 in `handles`, and one row for each kind that has handles without a record, with their
    /// number. See [`handles`].
    ///
    /// # Errors
    ///
    /// `SQLITE_NOMEM`, [`ErrorKind::Forked`](crate::ErrorKind::Forked).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let mut conn = Connection::open_in_memory()?;
    /// conn.create_diagnostic_tables()?;
    /// let bytes: u64 = conn.query_one("SELECT bytes FROM finalite_memory WHERE scope = 'process'", ())?;
    /// assert!(bytes > 0);
    /// let open: u64 = conn.query_one("SELECT sum(handles) FROM finalite_handles WHERE kind = 'connection'", ())?;
    /// assert_eq!(open, 1);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [table-valued functions](https://sqlite.org/vtab.html#tabfunc2)
    #[track_caller]
    pub fn create_diagnostic_tables(&mut self) -> Result<()> {
        let memory = [
            ("scope", "TEXT"),
            ("connection", "INTEGER"),
            ("opened_at", "TEXT"),
            ("bytes", "INTEGER"),
            ("peak_bytes", "INTEGER"),
            ("blocks", "INTEGER"),
        ];
        let handles = [
            ("kind", "TEXT"),
            ("handles", "INTEGER"),
            ("id", "INTEGER"),
            ("parent", "INTEGER"),
            ("opened_at", "TEXT"),
            ("age_ms", "INTEGER"),
            ("running_ms", "INTEGER"),
            ("thread", "TEXT"),
            ("sql", "TEXT"),
        ];
        // A schema from a database file should not read the state of this process.
        self.create_table_function("finalite_memory", TableColumns::from(memory).direct_only(), memory_rows)?;
        self.create_table_function("finalite_handles", TableColumns::from(handles).direct_only(), handle_rows)
    }
}

/// Scope, connection, where it was opened, bytes, peak of bytes, blocks.
type MemoryRow = (&'static str, Option<u64>, Option<String>, u64, Option<u64>, u64);

fn memory_rows() -> Vec<MemoryRow> {
    let stats = memory::stats();
    let of = |scope, connection: u64, site: &dyn ToString, memory: AccountMemory| {
        (scope, Some(connection), Some(site.to_string()), memory.bytes, Some(memory.peak_bytes), memory.blocks)
    };
    let mut rows: Vec<MemoryRow> = vec![("process", None, None, stats.bytes, Some(stats.peak_bytes), stats.blocks)];
    rows.extend(allocator::accounts().map(|it| of("connection", it.connection, &it.site, it.memory)));
    rows.extend(allocator::lingering().map(|it| of("closed connection", it.connection, &it.site, it.memory)));
    rows.push(("unattributed", None, None, stats.unattributed_bytes, None, stats.unattributed_blocks));
    rows
}

/// Kind, number, id, parent, where it was opened, age and time since it runs in milliseconds, thread, SQL.
type HandleRow = (
    &'static str,
    u64,
    Option<u64>,
    Option<u64>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<Box<str>>,
    Option<Box<str>>,
);

fn handle_rows() -> Vec<HandleRow> {
    let LiveHandles { records, unrecorded } = handles::list();
    let unrecorded =
        HandleKind::ALL.into_iter().map(|kind| (kind, unrecorded.of(kind))).filter(|&(_, count)| count > 0);
    let unrecorded = unrecorded.map(|(kind, count)| (kind.name(), count, None, None, None, None, None, None, None));
    records.into_iter().map(record_row).chain(unrecorded).collect()
}

fn record_row(record: OpenHandle) -> HandleRow {
    let thread = record.thread_name.or_else(|| record.thread.map(|id| format!("{id:?}").into()));
    (
        record.kind.name(),
        1,
        Some(record.id),
        record.parent,
        Some(record.opened_at.to_string()),
        Some(milliseconds(record.age)),
        record.running.map(milliseconds),
        thread,
        record.sql,
    )
}

fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
