//! Dates and times of chrono, as each driver writes and reads them.

use chrono::{DateTime, TimeDelta, Utc};

use crate::Result;
use crate::work::Competitor;

/// How many dates there are.
pub const DATES: u64 = 4_000;

/// `bind`: n dates are inserted, and rolled back. `read`: n dates are read that the driver has
/// written itself.
pub fn competitors<'a>(
    conn: &'a finalite::Connection,
    peer: &'a rusqlite::Connection,
    direction: &str,
) -> Result<Vec<Competitor<'a>>> {
    const INSERT: &str = "INSERT INTO dates_written VALUES (?)";
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS dates_written(at TEXT); CREATE TABLE IF NOT EXISTS of_finalite(at TEXT);
         CREATE TABLE IF NOT EXISTS of_rusqlite(at TEXT)",
    )?;
    let date = |index: u64| -> Result<DateTime<Utc>> {
        let start = DateTime::from_timestamp(1_795_975_499, 0).ok_or("no such date")?;
        Ok(start + TimeDelta::microseconds(i64::try_from(index)? * 1_234_567_891))
    };
    let dates = (0..DATES).map(date).collect::<Result<Vec<_>>>()?;
    if direction == "bind" {
        let mut finalite = conn.prepare(INSERT)?;
        let mut rusqlite = peer.prepare(INSERT)?;
        let (own, others) = (dates.clone(), dates);
        return Ok(vec![
            written(conn, "finalite", move |index| Ok(finalite.execute((own[index],))?)),
            written(conn, "rusqlite", move |index| Ok(rusqlite.execute((others[index],))?)),
        ]);
    }
    for date in &dates {
        conn.execute("INSERT INTO of_finalite VALUES (?)", (date,))?;
        peer.prepare_cached("INSERT INTO of_rusqlite VALUES (?)")?.execute((date,))?;
    }
    let sql = |table: &str| format!("SELECT at FROM {table} ORDER BY rowid LIMIT ?");
    let mut finalite = conn.prepare(&sql("of_finalite"))?;
    let mut rusqlite = peer.prepare(&sql("of_rusqlite"))?;
    Ok(vec![
        Competitor::new("finalite", move |n| {
            let dates = finalite.query_as::<DateTime<Utc>>((n,))?;
            sum(dates.map(|date| Ok(date?)))
        }),
        Competitor::new("rusqlite", move |n| {
            let dates = rusqlite.query_map((i64::try_from(n)?,), |row| row.get::<_, DateTime<Utc>>(0))?;
            sum(dates.map(|date| Ok(date?)))
        }),
    ])
}

fn sum(mut dates: impl Iterator<Item = Result<DateTime<Utc>>>) -> Result<u64> {
    dates.try_fold(0_u64, |sum, date| Ok(sum.wrapping_add(date?.timestamp_micros().cast_unsigned())))
}

/// In one transaction, which is rolled back.
fn written<'a>(
    conn: &'a finalite::Connection,
    name: &'static str,
    mut insert: impl FnMut(usize) -> Result<usize> + 'a,
) -> Competitor<'a> {
    Competitor::new(name, move |n| {
        conn.execute("BEGIN", ())?;
        let mut changed = 0;
        for index in 0..usize::try_from(n)? {
            changed += insert(index)? as u64;
        }
        conn.execute("ROLLBACK", ())?;
        Ok(changed)
    })
}
