//! error[E0505]: a scan that is still to run borrows its connection
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let scan = conn.scan("VALUES (1)", ());
    drop(conn); //~ fails
    scan.columns()?;
    Ok(())
}
