//! error[E0499]: SQLite has one transaction per connection
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let one = conn.transaction()?;
    let two = conn.transaction()?; //~ fails
    one.commit()?;
    Ok(())
}
