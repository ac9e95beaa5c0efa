//! A hook that SQLite calls for each row that is inserted, by every competitor: it counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Result;
use crate::reference::Handle;
use crate::work::Competitor;

/// Inserts n rows in one statement, which is rolled back.
fn insert(conn: &finalite::Connection, rows: u64) -> Result<()> {
    const SQL: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO h SELECT i FROM n";
    conn.execute("BEGIN", ())?;
    conn.execute(SQL, (rows,))?;
    conn.execute("ROLLBACK", ())?;
    Ok(())
}

/// Counts the calls for n rows. `SQLite` is the same statement without a hook.
pub fn competitors(conn: &finalite::Connection) -> Result<Vec<Competitor<'_>>> {
    let mut peer = Handle::of(conn).rusqlite()?;
    conn.execute_batch("CREATE TABLE h(a INTEGER)")?;
    Ok(vec![
        Competitor { has_checksum: false, ..Competitor::new("SQLite", move |n| insert(conn, n).map(|()| n)) },
        Competitor::new("C", move |n| {
            let mut calls = 0;
            Handle::of(conn).count_updates(&mut calls, || insert(conn, n))?;
            Ok(calls)
        }),
        Competitor::new("finalite", move |n| {
            let calls = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&calls);
            let subscription = conn.on_update(move |update| {
                // A name of the event is used, so that nobody leaves it out.
                counted.fetch_add(update.table.len() as u64, Ordering::Relaxed);
            })?;
            insert(conn, n)?;
            drop(subscription);
            Ok(calls.load(Ordering::Relaxed))
        }),
        Competitor::new("rusqlite", move |n| {
            let calls = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&calls);
            peer.update_hook(Some(move |_, _: &str, table: &str, _| {
                counted.fetch_add(table.len() as u64, Ordering::Relaxed);
            }))?;
            insert(conn, n)?;
            peer.update_hook(None::<fn(rusqlite::hooks::Action, &str, &str, i64)>)?;
            Ok(calls.load(Ordering::Relaxed))
        }),
    ])
}
