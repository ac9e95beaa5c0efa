//! error[E0716]: text is bound for as long as the rows live: give it away, or keep it
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare("SELECT ?")?;
    let mut rows = statement.query((&String::new(),))?; //~ fails
    let mut rows = statement.query((String::new(),))?; //~ passes
    rows.next()?;
    Ok(())
}
