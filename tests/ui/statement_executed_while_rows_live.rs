//! error[E0499]: a statement has one execution at a time
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare("SELECT 1")?;
    let mut rows = statement.query(())?;
    statement.execute(())?; //~ fails
    rows.next()?;
    Ok(())
}
