//! error[E0505]: text is the memory of SQLite, which goes when the statement is finalized
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut rows = conn.prepare("SELECT 'one'")?.into_rows(())?;
    if let Some(row) = rows.next()? {
        let text: &str = row.get(0)?;
        drop(rows); //~ fails
        assert_eq!(text, "one");
    }
    Ok(())
}
