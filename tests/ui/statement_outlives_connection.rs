//! error[E0597]: a statement borrows its connection
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let statement = {
        let conn = Connection::open_in_memory()?; //~ fails
        conn.prepare("SELECT 1")?
    };
    assert_eq!(statement.column_count(), 1);
    Ok(())
}
