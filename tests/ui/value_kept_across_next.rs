//! error[E0499]: a value points into the memory of its row
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare("VALUES (x'01'), (x'02')")?;
    let mut rows = statement.query(())?;
    if let Some(row) = rows.next()? {
        let value = row.value(0)?;
        rows.next()?; //~ fails
        assert_eq!(value.as_bytes()?, [1]);
    }
    Ok(())
}
