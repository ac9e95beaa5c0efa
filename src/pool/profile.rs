//! What a connection is like when it is new, and how to make it so again.

use std::time::Duration;

use crate::error::Result;
use crate::pragma::PragmaValue;
use crate::sql::RESTORABLE_PRAGMAS;
use crate::{Connection, Value};

/// The state of a connection that a borrower can change.
#[derive(Debug)]
pub(super) struct Profile {
    pragmas: Vec<(&'static str, Value)>,
    databases: Vec<String>,
    temporary: Vec<(String, String)>,
    statement_cache_limits: (usize, usize),
    slow_threshold: Option<Duration>,
}

impl Profile {
    pub(super) fn of(conn: &Connection) -> Result<Self> {
        let pragmas = RESTORABLE_PRAGMAS.into_iter().map(|name| Ok((name, conn.pragma::<Value>(name)?)));
        Ok(Self {
            pragmas: pragmas.collect::<Result<_>>()?,
            databases: databases(conn)?,
            temporary: temporary(conn)?,
            statement_cache_limits: conn.statement_cache_limits(),
            slow_threshold: conn.slow_threshold(),
        })
    }

    /// Whether the temporary schema is as it was.
    pub(super) fn has_same_temporary_schema(&self, conn: &Connection) -> Result<bool> {
        Ok(temporary(conn)? == self.temporary)
    }

    /// Detaches what was attached. Returns whether what was attached in the beginning is still there.
    pub(super) fn detach_others(&self, conn: &Connection) -> Result<bool> {
        for name in databases(conn)? {
            if !self.databases.contains(&name) {
                conn.execute("DETACH ?", (name,))?;
            }
        }
        Ok(databases(conn)? == self.databases)
    }

    /// Sets the pragmas that are different. Fails with the first that does not take.
    pub(super) fn restore_pragmas(&self, conn: &Connection) -> Result<()> {
        for (name, value) in &self.pragmas {
            if conn.pragma::<Value>(name)? != *value {
                let value = match value {
                    Value::Integer(value) => PragmaValue::from(*value),
                    Value::Text(value) => PragmaValue::from(value.as_str()),
                    // None of them has such a value.
                    _ => continue,
                };
                conn.set_pragma(name, value)?;
            }
        }
        Ok(())
    }

    /// Sets what finalite itself keeps.
    pub(super) fn restore_settings(&self, conn: &Connection) {
        let (statements, bytes) = self.statement_cache_limits;
        if conn.statement_cache_limits() != (statements, bytes) {
            conn.set_statement_cache_limits(statements, bytes);
        }
        conn.set_slow_threshold(self.slow_threshold);
    }
}

/// The attached ones, by name, and their files.
fn databases(conn: &Connection) -> Result<Vec<String>> {
    conn.query_all("SELECT name FROM pragma_database_list WHERE seq > 1 ORDER BY name", ())
}

fn temporary(conn: &Connection) -> Result<Vec<(String, String)>> {
    // To ask makes one.
    if !conn.query_one::<bool>("SELECT EXISTS (SELECT 1 FROM pragma_database_list WHERE name = 'temp')", ())? {
        return Ok(Vec::new());
    }
    conn.query_all("SELECT name, coalesce(sql, '') FROM sqlite_temp_schema ORDER BY name, type", ())
}
