//! error[E0521]: a row ends before the next is fetched
use finalite::{Connection, Error, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut kept = None;
    conn.scan("VALUES ('one'), ('two')", ()).for_each(|row| {
        kept = Some(row); //~ fails
        kept = Some(row.column_count()); //~ passes
        Ok::<_, Error>(())
    })?;
    assert!(kept.is_some());
    Ok(())
}
