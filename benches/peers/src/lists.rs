//! Many keys as one parameter: finalite's `list`, SQLite's `json_each`, rusqlite's `rarray`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::rc::Rc;

use crate::Result;
use crate::work::Competitor;

/// How many keys there are.
pub const KEYS: u64 = 5_000;

/// Queries with the keys, n times. `form`: `alone` reads the keys and no table, `in` finds the rows that have one, `join`
/// the row of each. `made`: the keys are a slice, and what the driver needs is made of it each time; `kept`: it was made
/// once.
pub fn competitors<'a>(
    conn: &'a finalite::Connection,
    peer: &'a rusqlite::Connection,
    keys: &'a [i64],
    form: &str,
) -> Result<Vec<Competitor<'a>>> {
    rusqlite::vtab::array::load_module(peer)?;
    let sql = |table: &str| match form {
        "in" => Ok(format!("SELECT sum(i1) FROM t WHERE id IN (SELECT value FROM {table}(?))")),
        "alone" => Ok(format!("SELECT sum(value) FROM {table}(?)")),
        "join" => Ok(format!("SELECT sum(i1) FROM {table}(?) AS keys JOIN t ON t.id = keys.value")),
        _ => Err(format!("no query with {form:?}")),
    };
    let mut list = conn.prepare(&sql("list")?)?;
    let mut json_made = conn.prepare(&sql("json_each")?)?;
    let mut json_kept = conn.prepare(&sql("json_each")?)?;
    let mut array_made = peer.prepare(&sql("rarray")?)?;
    let mut array_kept = peer.prepare(&sql("rarray")?)?;
    let text = json(keys);
    let values = values(keys);
    let rusqlite = |statement: &mut rusqlite::Statement<'_>, values: Rc<Vec<rusqlite::types::Value>>| {
        statement.query_row((values,), |row| row.get::<_, i64>(0))
    };
    Ok(vec![
        repeated("finalite list", move || Ok(list.query_one((finalite::array(keys),))?)),
        repeated("json_each made", move || Ok(json_made.query_one((json(black_box(keys)),))?)),
        repeated("json_each kept", move || Ok(json_kept.query_one((&text,))?)),
        repeated("rusqlite made", move || Ok(rusqlite(&mut array_made, self::values(black_box(keys)))?)),
        repeated("rusqlite kept", move || Ok(rusqlite(&mut array_kept, Rc::clone(&values))?)),
    ])
}

fn repeated<'a>(name: &'static str, mut query: impl FnMut() -> Result<i64> + 'a) -> Competitor<'a> {
    Competitor::new(name, move |n| (0..n).try_fold(0_u64, |sum, _| Ok(sum.wrapping_add(query()?.cast_unsigned()))))
}

fn json(keys: &[i64]) -> String {
    let mut text = String::with_capacity(8 * keys.len());
    for key in keys {
        text.push(if text.is_empty() { '[' } else { ',' });
        // Writing to a String cannot fail.
        let _ = write!(text, "{key}");
    }
    text.push(']');
    text
}

fn values(keys: &[i64]) -> Rc<Vec<rusqlite::types::Value>> {
    Rc::new(keys.iter().map(|&key| key.into()).collect())
}
