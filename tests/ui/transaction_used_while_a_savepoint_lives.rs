//! error[E0502]: what runs during a savepoint runs in it, and says so
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let mut tx = conn.transaction()?;
    let savepoint = tx.savepoint()?;
    tx.execute("CREATE TABLE t(a)", ())?; //~ fails
    savepoint.execute("CREATE TABLE t(a)", ())?; //~ passes
    savepoint.commit()?;
    Ok(())
}
