//! What a connection is like when it is new: the pragmas that can be put back.

use crate::error::Result;
use crate::pragma::PragmaValue;
use crate::sql::RESTORABLE_PRAGMAS;
use crate::{Connection, Value};

/// The values of the pragmas that can be put back.
#[derive(Debug)]
pub(super) struct Profile(Vec<(&'static str, Value)>);

impl Profile {
    pub(super) fn of(conn: &Connection) -> Result<Self> {
        let values = RESTORABLE_PRAGMAS.into_iter().map(|name| Ok((name, conn.pragma::<Value>(name)?)));
        values.collect::<Result<_>>().map(Self)
    }

    /// Sets what is different. Fails with the first that does not take.
    pub(super) fn restore(&self, conn: &Connection) -> Result<()> {
        for (name, value) in &self.0 {
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
}
