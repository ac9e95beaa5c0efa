//! error[E0505]: closing would pull the connection from under the statement
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let statement = conn.prepare("SELECT 1")?;
    conn.close()?; //~ fails
    assert_eq!(statement.column_count(), 1);
    Ok(())
}
