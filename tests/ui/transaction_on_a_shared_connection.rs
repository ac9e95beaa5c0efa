//! error[E0596]: a transaction needs the connection for itself
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let conn = &conn; //~ fails
    let conn = &mut conn; //~ passes
    conn.transaction()?.commit()?;
    Ok(())
}
