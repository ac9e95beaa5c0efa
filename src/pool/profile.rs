//! State of a new connection, and its restoration.

use std::time::Duration;

use crate::Connection;
use crate::connection::pragma::PragmaValue;
use crate::error::Result;
use crate::raw::{DbConfig, Limit};
use crate::sql::Pragma;
use crate::value::Value;

/// State of a connection that a caller can change.
#[derive(Debug)]
pub(super) struct Profile {
    pragmas: Vec<(&'static str, Value)>,
    databases: Vec<(String, Vec<u8>)>,
    temporary: Vec<(String, String)>,
    config: Config,
    statement_cache_limits: (usize, usize),
    slow_threshold: Option<Duration>,
}

impl Profile {
    pub(super) fn of(conn: &Connection) -> Result<Self> {
        let pragmas = Pragma::restorable().map(|name| Ok((name, conn.pragma::<Value>(name)?)));
        Ok(Self {
            pragmas: pragmas.collect::<Result<_>>()?,
            databases: databases(conn)?,
            temporary: temporary(conn)?,
            config: Config::of(conn),
            statement_cache_limits: conn.statement_cache_limits(),
            slow_threshold: conn.slow_threshold(),
        })
    }

    /// Whether the limits and the switches are unchanged.
    pub(super) fn has_same_config(&self, conn: &Connection) -> bool {
        Config::of(conn) == self.config
    }

    /// Restores the limits and the switches. It runs no SQL, which a limit may refuse.
    pub(super) fn restore_config(&self, conn: &Connection) -> Result<()> {
        for (limit, value) in Limit::ALL.into_iter().zip(self.config.limits) {
            conn.set_limit(limit, value)?;
        }
        for &(switch, on) in &self.config.switches {
            conn.set_db_config(switch, on)?;
        }
        Ok(())
    }

    /// Whether the temporary schema is unchanged.
    pub(super) fn has_same_temporary_schema(&self, conn: &Connection) -> Result<bool> {
        Ok(temporary(conn)? == self.temporary)
    }

    /// Detaches databases that were attached since. Returns whether those attached in the beginning are still attached,
    /// in the same order, which decides what an unqualified name means.
    pub(super) fn detach_others(&self, conn: &Connection) -> Result<bool> {
        for database in databases(conn)? {
            if !self.databases.contains(&database) {
                conn.execute("DETACH ?", (database.0,))?;
            }
        }
        // A database without a file may have been attached again, empty.
        let has_nameless = self.databases.iter().any(|(_, file)| file.is_empty());
        Ok(!has_nameless && databases(conn)? == self.databases)
    }

    /// Restores pragmas whose value differs. Returns the first error.
    pub(super) fn restore_pragmas(&self, conn: &Connection) -> Result<()> {
        for (name, value) in &self.pragmas {
            if conn.pragma::<Value>(name)? != *value {
                let value = match value {
                    Value::Integer(value) => PragmaValue::from(*value),
                    Value::Text(value) => PragmaValue::from(value.as_str()),
                    // No restorable pragma has a value of another type.
                    _ => continue,
                };
                conn.set_pragma(name, value)?;
            }
        }
        Ok(())
    }

    /// Restores the settings that finalite itself keeps.
    pub(super) fn restore_settings(&self, conn: &Connection) {
        let (statements, bytes) = self.statement_cache_limits;
        if conn.statement_cache_limits() != (statements, bytes) {
            conn.set_statement_cache_limits(statements, bytes);
        }
        conn.set_slow_threshold(self.slow_threshold);
    }
}

/// Limits and switches of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Config {
    limits: [u32; Limit::ALL.len()],
    /// Those that this SQLite has.
    switches: Vec<(DbConfig, bool)>,
}

impl Config {
    fn of(conn: &Connection) -> Self {
        let switches = DbConfig::ALL.into_iter().filter_map(|switch| Some((switch, conn.db_config(switch).ok()?)));
        Self { limits: Limit::ALL.map(|limit| conn.limit(limit)), switches: switches.collect() }
    }
}

/// Attached databases with their files, in the order of attaching. The path need not be UTF-8; it is empty in memory.
fn databases(conn: &Connection) -> Result<Vec<(String, Vec<u8>)>> {
    let sql = "SELECT name, CAST(coalesce(file, '') AS BLOB) FROM pragma_database_list WHERE seq > 1 ORDER BY seq";
    conn.query_all(sql, [])
}

fn temporary(conn: &Connection) -> Result<Vec<(String, String)>> {
    // Reading the temporary schema creates it, so the list of databases is checked first.
    if !conn.query_one::<bool>("SELECT EXISTS (SELECT 1 FROM pragma_database_list WHERE name = 'temp')", ())? {
        return Ok(Vec::new());
    }
    conn.query_all("SELECT name, coalesce(sql, '') FROM sqlite_temp_schema ORDER BY name, type", ())
}
