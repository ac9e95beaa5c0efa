//! error[E0505]: a list is lent to the rows, and not copied
use finalite::{Connection, Result, array};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let ids = vec![1_i64, 2];
    let mut statement = conn.prepare("SELECT value FROM list(?)")?;
    let mut rows = statement.query((array(&ids),))?;
    drop(ids); //~ fails
    rows.next()?;
    Ok(())
}
