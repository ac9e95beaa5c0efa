//! Memory figures and open handles as SQL tables.

use std::panic::Location;

use super::handles::{self, LiveHandles, OpenHandle};
use super::memory;
use crate::Connection;
use crate::error::Result;
use crate::raw::allocator;
use crate::raw::table::{Cell, Table};
use crate::track::HandleKind;
use crate::track::figures::AccountMemory;

static MEMORY: Table = Table {
    name: c"finalite_memory",
    schema: c"CREATE TABLE x(scope TEXT, connection INTEGER, opened_at TEXT, bytes INTEGER, peak_bytes INTEGER, \
              blocks INTEGER)",
    rows: memory_rows,
};

static HANDLES: Table = Table {
    name: c"finalite_handles",
    schema: c"CREATE TABLE x(kind TEXT, handles INTEGER, id INTEGER, parent INTEGER, opened_at TEXT, age_ms INTEGER, \
              running_ms INTEGER, thread TEXT, sql TEXT)",
    rows: handle_rows,
};

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
        for table in [&MEMORY, &HANDLES] {
            self.db().create_table(table, Location::caller())?;
        }
        Ok(())
    }
}

fn memory_rows() -> Vec<Vec<Cell>> {
    let stats = memory::stats();
    let row =
        |scope: &str, connection: Option<u64>, opened_at: Option<String>, [bytes, peak_bytes, blocks]: [u64; 3]| {
            vec![
                Cell::Text(scope.into()),
                connection.map_or(Cell::Null, integer),
                opened_at.map_or(Cell::Null, |site| Cell::Text(site.into())),
                integer(bytes),
                integer(peak_bytes),
                integer(blocks),
            ]
        };
    let mut rows = vec![row("process", None, None, [stats.bytes, stats.peak_bytes, stats.blocks])];
    let of = |memory: AccountMemory| [memory.bytes, memory.peak_bytes, memory.blocks];
    rows.extend(allocator::accounts().map(|account| {
        row("connection", Some(account.connection), Some(account.site.to_string()), of(account.memory))
    }));
    rows.extend(allocator::lingering().map(|account| {
        row("closed connection", Some(account.connection), Some(account.site.to_string()), of(account.memory))
    }));
    let mut unattributed = row("unattributed", None, None, [stats.unattributed_bytes, 0, stats.unattributed_blocks]);
    unattributed[4] = Cell::Null;
    rows.push(unattributed);
    rows
}

fn handle_rows() -> Vec<Vec<Cell>> {
    let LiveHandles { records, unrecorded } = handles::list();
    let unrecorded =
        HandleKind::ALL.into_iter().map(|kind| (kind, unrecorded.of(kind))).filter(|&(_, count)| count > 0);
    let unrecorded = unrecorded.map(|(kind, count)| {
        let mut row = vec![Cell::Text(kind.name().into()), integer(count)];
        row.resize(9, Cell::Null);
        row
    });
    records.into_iter().map(record_row).chain(unrecorded).collect()
}

fn record_row(record: OpenHandle) -> Vec<Cell> {
    let thread = record.thread_name.or_else(|| record.thread.map(|id| format!("{id:?}").into()));
    vec![
        Cell::Text(record.kind.name().into()),
        Cell::Integer(1),
        integer(record.id),
        record.parent.map_or(Cell::Null, integer),
        Cell::Text(record.opened_at.to_string().into()),
        milliseconds(record.age),
        record.running.map_or(Cell::Null, milliseconds),
        thread.map_or(Cell::Null, Cell::Text),
        record.sql.map_or(Cell::Null, Cell::Text),
    ]
}

fn integer(value: u64) -> Cell {
    Cell::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn milliseconds(duration: std::time::Duration) -> Cell {
    Cell::Integer(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    static BROKEN: Table =
        Table { name: c"broken", schema: c"CREATE TABLE x(a)", rows: || panic!("while the rows were made") };

    static EMPTY: Table = Table { name: c"empty", schema: c"CREATE TABLE x(a)", rows: Vec::new };

    fn open() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        for table in [&BROKEN, &EMPTY] {
            conn.db().create_table(table, Location::caller()).unwrap();
        }
        conn
    }

    fn panic_of(run: impl FnOnce()) -> Box<dyn Any + Send> {
        catch_unwind(AssertUnwindSafe(run)).unwrap_err()
    }

    fn is_of_the_table(payload: &(dyn Any + Send)) -> bool {
        payload.downcast_ref() == Some(&"while the rows were made")
    }

    #[test]
    fn rule_5_a_panic_in_a_callback_is_caught_and_resumed_by_the_call_that_entered_sqlite() {
        let conn = open();
        let sql = "SELECT a FROM broken";
        let calls: [(&str, &dyn Fn()); 5] = [
            ("query_all", &|| drop(conn.query_all::<i64>(sql, ()))),
            ("execute", &|| drop(conn.execute(sql, ()))),
            ("execute_batch", &|| drop(conn.execute_batch("SELECT 1; SELECT a FROM broken"))),
            ("scan", &|| drop(conn.scan(sql, ()).for_each(|_| Ok::<_, crate::Error>(())))),
            ("rows that own their statement", &|| {
                drop(conn.prepare(sql).unwrap().into_rows(()).unwrap().next());
            }),
        ];
        for (call, run) in calls {
            assert!(is_of_the_table(&*panic_of(run)), "{call}");
            // Once, and the connection goes on.
            assert_eq!(conn.query_all::<i64>("SELECT a FROM empty", ()).unwrap(), [0_i64; 0], "after {call}");
            let error = conn.query_one::<i64>("SELECT abs(-9223372036854775808)", ()).unwrap_err();
            assert_eq!(error.kind().to_string(), "integer overflow", "after {call}");
        }
        conn.close().unwrap();
    }
}
