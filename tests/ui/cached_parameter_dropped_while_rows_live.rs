//! error[E0505]: borrowed bytes are bound without a copy
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let bytes = vec![1, 2];
    let mut statement = conn.prepare_cached("SELECT ?")?;
    let mut rows = statement.query((&bytes,))?;
    drop(bytes); //~ fails
    rows.next()?;
    Ok(())
}
