//! error[E0505]: borrowed text is bound without a copy
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let name = String::from("Ada");
    let mut statement = conn.prepare("SELECT ?")?;
    let mut rows = statement.query((&name,))?;
    drop(name); //~ fails
    rows.next()?;
    Ok(())
}
