//! Interrupting a statement from another thread.

use std::fmt;
use std::sync::Arc;

use crate::Connection;
use crate::raw::interrupt::Interrupter;

/// Handle that interrupts the running statements of a connection. It is `Send` and `Sync`, and has no effect once the
/// connection is closed.
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let conn = Connection::open_in_memory()?;
/// let handle = conn.interrupt_handle();
/// let mut statement = conn.prepare("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n")?;
/// let mut rows = statement.query(())?;
/// rows.next()?;
/// std::thread::spawn(move || handle.interrupt()).join().unwrap();
/// let error = loop {
///     match rows.next() {
///         Ok(_) => continue,
///         Err(error) => break error,
///     }
/// };
/// assert!(error.is_interrupted());
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone)]
pub struct InterruptHandle(Arc<Interrupter>);

impl InterruptHandle {
    /// Interrupts all running statements of the connection: they return
    /// [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) at SQLite's next check. Statements that begin before
    /// all of them have ended are interrupted too. Returns `false` if the connection is closed, or inherited through
    /// `fork`.
    ///
    /// C: [sqlite3_interrupt](https://sqlite.org/c3ref/interrupt.html)
    pub fn interrupt(&self) -> bool {
        self.0.interrupt()
    }
}

impl fmt::Debug for InterruptHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterruptHandle").finish_non_exhaustive()
    }
}

impl Connection {
    /// Returns a handle that interrupts this connection from any thread.
    #[must_use]
    #[doc(alias = "get_interrupt_handle")]
    pub fn interrupt_handle(&self) -> InterruptHandle {
        InterruptHandle(self.db().interrupter())
    }
}
