//! error[E0499]: text is the memory of SQLite, which the next step overwrites
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare("VALUES ('one'), ('two')")?;
    let mut rows = statement.query(())?;
    let mut kept = "";
    while let Some(row) = rows.next()? {
        kept = row.get(0)?; //~ fails
        kept = row.get::<&str>(0).map(|_| "copied")?; //~ passes
    }
    assert!(!kept.is_empty());
    Ok(())
}
