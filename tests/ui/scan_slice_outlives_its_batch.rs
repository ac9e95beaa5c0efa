//! error[E0505]: the texts of a column are the memory of its batch
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let batch = conn.scan("VALUES ('one')", ()).columns()?;
    let text = batch.column(0)?.as_str()?.get(0);
    drop(batch); //~ fails
    assert_eq!(text, Some("one"));
    Ok(())
}
