//! error[E0502]: what runs during a transaction runs in it, and says so
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let tx = conn.transaction()?;
    conn.execute("CREATE TABLE t(a)", ())?; //~ fails
    tx.execute("CREATE TABLE t(a)", ())?; //~ passes
    tx.commit()?;
    Ok(())
}
