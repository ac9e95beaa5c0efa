//! error[E0505]: a statement in the cache must not be running
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare_cached("SELECT 1")?;
    let mut rows = statement.query(())?;
    drop(statement); //~ fails
    rows.next()?;
    Ok(())
}
