//! error[E0521]: the row ends with the closure that reads it
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut kept = "";
    conn.query_row("SELECT 'one'", (), |row| {
        let text: &str = row.get(0)?;
        kept = text; //~ fails
        kept = if text.is_empty() { "none" } else { "some" }; //~ passes
        Ok(())
    })?;
    assert_eq!(kept.len(), 4);
    Ok(())
}
