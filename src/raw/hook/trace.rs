//! Trace events.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::time::Duration;

use super::event::{TraceEvent, TraceEvents};
use crate::raw::db::Db;
use crate::raw::ffi;
use crate::raw::text::{self, SqliteString};

/// A statement that SQLite reports to a closure of [`Connection::on_trace`](crate::Connection::on_trace).
#[derive(Clone, Copy)]
pub struct Traced<'a> {
    statement: NonNull<ffi::sqlite3_stmt>,
    sql: &'a str,
    call: PhantomData<&'a Db>,
}

impl<'a> Traced<'a> {
    /// Returns the SQL as it was prepared, without the values of its parameters.
    #[must_use]
    pub fn sql(&self) -> &'a str {
        self.sql
    }

    /// Returns the SQL with the values of its parameters, which may be secrets. `None` if memory ran out, or if the
    /// text exceeds SQLite's limit.
    ///
    /// C: [sqlite3_expanded_sql](https://sqlite.org/c3ref/expanded_sql.html)
    #[must_use]
    pub fn expanded_sql(&self) -> Option<Box<str>> {
        // SAFETY: SQLite reports the statement, which lives during the call, as `'a` does; memory that is bound to it
        // is valid, as it is cleared before SQLite resets a statement that was forgotten (rules 2, 14).
        let text = unsafe { ffi::sqlite3_expanded_sql(self.statement.as_ptr()) };
        // SAFETY: c3ref/expanded_sql.html: NULL, or a string that the caller frees, which `SqliteString` does (rule 22).
        let text = unsafe { SqliteString::from_raw(text) };
        text.map(|text| text.to_text())
    }
}

impl fmt::Debug for Traced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("sql", &self.sql).finish_non_exhaustive()
    }
}

/// A closure of `on_trace`, with its events.
pub(super) struct Tracer {
    pub(super) events: TraceEvents,
    pub(super) closure: Box<dyn FnMut(&TraceEvent<'_>) + Send>,
}

pub(super) unsafe extern "C" fn traced(
    code: c_uint,
    db: *mut c_void,
    statement: *mut c_void,
    detail: *mut c_void,
) -> c_int {
    // SAFETY: SQLite passes the pointer with which `install` registered this function (rule 14).
    let db = unsafe { super::db_of(db) };
    let events = TraceEvents(code);
    if events == TraceEvents::CLOSE {
        db.hooks().trace.each_at_close(db, |tracer: &mut Tracer| tracer.send(events, &TraceEvent::Close));
        return 0;
    }
    let Some(pointer) = NonNull::new(statement.cast::<ffi::sqlite3_stmt>()) else {
        return 0;
    };
    // SAFETY: c3ref/c_trace.html: the argument of these events is the statement, which lives during the call; the call
    // reads memory (rule 20).
    let sql = unsafe { ffi::sqlite3_sql(pointer.as_ptr()) };
    // SAFETY: NULL or the statement's own copy of its SQL, unchanged during the call (rule 22).
    let sql = unsafe { text::borrow(sql) }.unwrap_or_default();
    let statement = Traced { statement: pointer, sql: &sql, call: PhantomData };
    let text;
    let event = if events == TraceEvents::STATEMENT {
        // SAFETY: c3ref/c_trace.html: for this event, the fourth argument is the unexpanded SQL, or a comment that
        // stands for a trigger: a string that is unchanged during the call (rule 22).
        text = unsafe { text::borrow(detail.cast::<c_char>()) }.unwrap_or_default();
        TraceEvent::Statement { statement, text: &text }
    } else if events == TraceEvents::PROFILE {
        // SAFETY: c3ref/c_trace.html: for this event, the fourth argument "points to a 64-bit integer which is
        // approximately the number of nanoseconds that the prepared statement took to run" (rule 22).
        let nanoseconds = unsafe { detail.cast::<i64>().read_unaligned() };
        TraceEvent::Profile { statement, duration: Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0)) }
    } else if events == TraceEvents::ROW {
        TraceEvent::Row { statement }
    } else {
        return 0;
    };
    db.hooks().trace.each(db, |tracer| {
        tracer.send(events, &event);
        true
    });
    0
}

impl Tracer {
    fn send(&mut self, of: TraceEvents, event: &TraceEvent<'_>) {
        if self.events.has(of) {
            (self.closure)(event);
        }
    }
}
