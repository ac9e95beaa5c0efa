//! A function of one argument that SQL calls for each row, by every competitor: of an integer, and of a text.

use rusqlite::functions::FunctionFlags;

use crate::Result;
use crate::reference::Handle;
use crate::work::Competitor;

/// Calls the functions for the first n rows of the table, in one query. `SQLite` is the same query without a function.
pub fn competitors<'a>(
    conn: &'a finalite::Connection,
    peer: &'a rusqlite::Connection,
    argument: &str,
) -> Result<Vec<Competitor<'a>>> {
    Handle::of(conn).create_functions()?;
    conn.create_scalar_function("finalite_half", |n: i64| n / 2)?;
    conn.create_scalar_function("finalite_bytes", |text: &str| text.len() as u64)?;
    conn.create_scalar_function("finalite_bytes_unchecked", |text: &[u8]| text.len() as u64)?;
    let flags = FunctionFlags::SQLITE_UTF8;
    peer.create_scalar_function("rusqlite_half", 1, flags, |ctx| Ok(ctx.get::<i64>(0)? / 2))?;
    peer.create_scalar_function("rusqlite_bytes", 1, flags, |ctx| {
        Ok(i64::try_from(ctx.get_raw(0).as_str()?.len()).unwrap_or(0))
    })?;
    let competitors: &[(&str, &str)] = match argument {
        "integer" => &[
            ("SQLite", "i1"),
            ("C", "c_half(i1)"),
            ("finalite", "finalite_half(i1)"),
            ("rusqlite", "rusqlite_half(i1)"),
        ],
        "text" => &[
            ("SQLite", "s2"),
            ("C", "c_bytes(s2)"),
            ("finalite &str", "finalite_bytes(s2)"),
            ("finalite &[u8]", "finalite_bytes_unchecked(s2)"),
            ("rusqlite", "rusqlite_bytes(s2)"),
        ],
        _ => return Err(format!("no function of {argument:?}").into()),
    };
    competitors
        .iter()
        .map(|&(name, expression)| {
            // One result, whoever computes it: `max` has no state that grows.
            let sql = format!("SELECT max({expression}) FROM t WHERE id <= ?");
            let mut statement = conn.prepare(&sql)?;
            let run = move |n: u64| {
                let found: finalite::Value = statement.query_one((n,))?;
                Ok(u64::from(found != finalite::Value::Null))
            };
            Ok(Competitor::new(name, run))
        })
        .collect()
}
