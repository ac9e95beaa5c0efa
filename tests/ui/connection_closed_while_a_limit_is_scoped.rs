//! error[E0505]: the guard could not restore the limit
use finalite::{Connection, Limit, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let scope = conn.scoped_limit(Limit::Column, 10)?;
    conn.close()?; //~ fails
    drop(scope);
    Ok(())
}
