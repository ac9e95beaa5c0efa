//! error[E0597]: rows are an execution of their statement
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare("SELECT 1")?;
    let mut rows = {
        let mut statement = conn.prepare("SELECT 2")?; //~ fails
        statement.query(())?
    };
    rows.next()?;
    Ok(())
}
