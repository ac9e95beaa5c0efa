//! error[E0521]: text is the memory of SQLite, which the next row overwrites
use finalite::{Connection, Error, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut kept: Vec<&str> = Vec::new();
    conn.scan("VALUES ('one'), ('two')", ()).for_each(|row| {
        kept.push(row.get(0)?); //~ fails
        kept.push(row.get::<&str>(0).map(|_| "copied")?); //~ passes
        Ok::<_, Error>(())
    })?;
    assert_eq!(kept.len(), 2);
    Ok(())
}
