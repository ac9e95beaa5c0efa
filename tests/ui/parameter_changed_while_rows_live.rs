//! error[E0502]: borrowed text is bound without a copy
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut name = String::from("Ada");
    let mut statement = conn.prepare("SELECT ?")?;
    let mut rows = statement.query((&name,))?;
    name.push('!'); //~ fails
    rows.next()?;
    Ok(())
}
