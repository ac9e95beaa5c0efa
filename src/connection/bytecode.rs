//! Programs of statements, as `EXPLAIN` lists them.

use std::ops::ControlFlow;

use super::Connection;
use crate::error::Result;
use crate::sql::skip_blank;
use crate::statement::params::params_from_iter;
use crate::value::{Value, ValueRef};

/// An instruction of SQLite's virtual machine.
pub(crate) struct Instruction<'row> {
    pub(crate) address: i64,
    pub(crate) code: &'row str,
    pub(crate) p1: i64,
    pub(crate) p2: i64,
    pub(crate) p3: i64,
    /// Text, of any bytes: it is stored in UTF-16.
    pub(crate) p4: Option<&'row [u8]>,
    pub(crate) p5: i64,
}

impl Connection {
    /// Passes the instructions of a statement to the closure until it breaks. Returns the value it broke with. The
    /// statement is not run.
    ///
    /// `values` are those of its parameters, by which SQLite may choose an index. Without any, they are NULL.
    #[track_caller]
    pub(crate) fn read_bytecode<B>(
        &self,
        sql: &str,
        values: &[Value],
        mut read: impl FnMut(Instruction<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        let mut explain = self.prepare(&format!("EXPLAIN {}", skip_blank(sql)))?;
        let mut rows = match values {
            [] => explain.query_unbound()?,
            values => explain.query(params_from_iter(values))?,
        };
        while let Some(row) = rows.next()? {
            let instruction = Instruction {
                address: row.get(0)?,
                code: row.get(1)?,
                p1: row.get(2)?,
                p2: row.get(3)?,
                p3: row.get(4)?,
                p4: match row.value(5)? {
                    ValueRef::Text(p4) => Some(p4),
                    _ => None,
                },
                p5: row.get(6)?,
            };
            if let ControlFlow::Break(value) = read(instruction) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}
