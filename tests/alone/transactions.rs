//! Transactions on files that fail, and what is found of them.

use finalite::{Connection, Error, Result};

/// Number of transactions. Each inserts its number into two tables, and a value of some pages.
pub const TRANSACTIONS: i64 = 3;

/// Makes the tables and commits all. Sets the number of those that are committed, each time.
pub fn commit_all(conn: &Connection, committed: &mut i64) -> Result<()> {
    conn.execute_batch("CREATE TABLE t(a, b); CREATE TABLE u(a); PRAGMA wal_autocheckpoint = 20")?;
    for n in 1..=TRANSACTIONS {
        conn.execute_batch(&format!(
            "BEGIN; INSERT INTO t VALUES ({n}, randomblob(9000)); UPDATE t SET b = randomblob(7000) WHERE a = {n} - 1;
             INSERT INTO u VALUES ({n}); COMMIT"
        ))?;
        *committed = n;
    }
    Ok(())
}

/// Returns the number of transactions in the file; an error if it is not whole.
pub fn found(conn: &Connection) -> std::result::Result<i64, String> {
    let of = |error: Error| error.to_string();
    let check = conn.query_one::<String>("PRAGMA integrity_check", ()).map_err(of)?;
    if check != "ok" {
        return Err(check);
    }
    if !conn.exists("SELECT 1 FROM sqlite_schema WHERE name = 'u'", ()).map_err(of)? {
        return Ok(0);
    }
    let sql = "SELECT (SELECT count(*) FROM t), (SELECT ifnull(max(a), 0) FROM t), count(*), ifnull(max(a), 0) FROM u";
    let found = conn.query_one::<(i64, i64, i64, i64)>(sql, ()).map_err(of)?;
    let rows = found.0;
    if found == (rows, rows, rows, rows) { Ok(rows) } else { Err(format!("half of a transaction: {found:?}")) }
}
