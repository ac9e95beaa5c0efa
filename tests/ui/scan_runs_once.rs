//! error[E0382]: a scan gives its parameters away when it runs
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let scan = conn.scan("SELECT ?", ("given".to_owned(),));
    scan.columns()?;
    scan.columns()?; //~ fails
    Ok(())
}
