//! error[E0597]: an iterator over rows is an execution of its statement
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare("SELECT 1")?;
    let numbers = {
        let mut statement = conn.prepare("SELECT 2")?; //~ fails
        statement.query_as::<i64>(())?
    };
    assert_eq!(numbers.count(), 1);
    Ok(())
}
