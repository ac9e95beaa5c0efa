//! error[E0597]: texts outlive the view they were taken from, and not the batch
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let text;
    let batch = conn.scan("VALUES ('one')", ()).columns()?; //~ passes
    {
        let batch = conn.scan("VALUES ('one')", ()).columns()?; //~ fails
        let view = batch.column(0)?.as_str()?;
        text = view.iter().next().flatten();
    }
    assert_eq!(text, Some("one"));
    Ok(())
}
