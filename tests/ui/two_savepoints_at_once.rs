//! error[E0499]: savepoints are nested, never side by side
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let mut tx = conn.transaction()?;
    let mut outer = tx.savepoint()?;
    let inner = tx.savepoint()?; //~ fails
    let inner = outer.savepoint()?; //~ passes
    inner.commit()?;
    outer.commit()?;
    Ok(())
}
