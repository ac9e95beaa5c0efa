//! error[E0505]: dropping the rows resets the statement, which ends the row
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare("SELECT 1")?;
    let mut rows = statement.query(())?;
    if let Some(row) = rows.next()? {
        drop(rows); //~ fails
        assert_eq!(row.get::<i64>(0)?, 1);
    }
    Ok(())
}
