//! error[E0505]: a statement survives the commit, and not the connection
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let tx = conn.transaction()?;
    let mut statement = tx.prepare("SELECT 1")?;
    tx.commit()?;
    drop(conn); //~ fails
    assert_eq!(statement.query_one::<i64>(())?, 1);
    Ok(())
}
