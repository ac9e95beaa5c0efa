//! error[E0505]: rows that own their statement borrow the connection
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut rows = conn.prepare("SELECT 1")?.into_rows(())?;
    drop(conn); //~ fails
    rows.next()?;
    Ok(())
}
