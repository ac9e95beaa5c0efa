//! error[E0382]: a commit ends the transaction
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let tx = conn.transaction()?;
    tx.commit()?; //~ fails
    tx.execute("CREATE TABLE t(a)", ())?;
    Ok(())
}
