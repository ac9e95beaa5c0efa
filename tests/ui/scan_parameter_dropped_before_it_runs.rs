//! error[E0505]: what a parameter borrows lives until the scan has run
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let text = String::from("lent");
    let scan = conn.scan("SELECT ?", (&*text,));
    drop(text); //~ fails
    scan.columns()?;
    Ok(())
}
