//! error[E0716]: `params!` lends; a tuple takes what would be gone
use finalite::{Connection, Result, params};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare("SELECT ?")?;
    let mut rows = statement.query(params![String::new()])?; //~ fails
    let mut rows = statement.query((String::new(),))?; //~ passes
    rows.next()?;
    Ok(())
}
