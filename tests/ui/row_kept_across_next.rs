//! error[E0499]: a row ends before the next is fetched
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare("VALUES (1), (2)")?;
    let mut rows = statement.query(())?;
    if let Some(row) = rows.next()? {
        rows.next()?; //~ fails
        assert_eq!(row.get::<i64>(0)?, 1);
    }
    Ok(())
}
