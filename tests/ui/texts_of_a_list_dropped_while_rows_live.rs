//! error[E0505]: the texts of a list are lent to the rows, also those of a list that is moved into the statement
use finalite::{Connection, Result, array};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let name = String::from("Ada");
    let mut statement = conn.prepare("SELECT value FROM list(?)")?;
    let mut rows = statement.query((array(vec![name.as_str()]),))?;
    drop(name); //~ fails
    rows.next()?;
    Ok(())
}
