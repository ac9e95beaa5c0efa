//! error[E0505]: a statement survives the savepoint it was prepared in, and not the end of the transaction around it
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let mut tx = conn.transaction()?;
    let savepoint = tx.savepoint()?;
    let mut statement = savepoint.prepare("SELECT 1")?;
    savepoint.commit()?;
    tx.commit()?; //~ fails
    assert_eq!(statement.query_one::<i64>(())?, 1);
    Ok(())
}
