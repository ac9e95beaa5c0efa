//! error[E0505]: rows borrow their statement
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare("SELECT 1")?;
    let mut rows = statement.query(())?;
    statement.finalize()?; //~ fails
    rows.next()?;
    Ok(())
}
