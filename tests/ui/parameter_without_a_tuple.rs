//! error[E0277]: one value is no set of parameters
//! says: a single value goes into a tuple of one, `(value,)`
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.execute("SELECT ?", 1)?; //~ fails
    conn.execute("SELECT ?", (1,))?; //~ passes
    Ok(())
}
