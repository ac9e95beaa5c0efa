//! error[E0507]: what is taken from the cache goes back to it
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let statement = conn.prepare_cached("SELECT 1")?;
    (*statement).finalize()?; //~ fails
    statement.discard(); //~ passes
    Ok(())
}
