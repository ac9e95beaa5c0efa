//! error[-]: the row ends with the call, so its text must be copied
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let text = conn.query_one::<&str>("SELECT 'one'", ())?; //~ fails
    let text = conn.query_one::<String>("SELECT 'one'", ())?; //~ passes
    assert_eq!(text, "one");
    Ok(())
}
