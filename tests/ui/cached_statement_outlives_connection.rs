//! error[E0597]: a cached statement goes back to its connection when it is dropped
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let statement = {
        let conn = Connection::open_in_memory()?; //~ fails
        conn.prepare_cached("SELECT 1")?
    };
    assert_eq!(statement.column_count(), 1);
    Ok(())
}
