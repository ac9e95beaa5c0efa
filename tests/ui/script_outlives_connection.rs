//! error[E0597]: the statements of a script are prepared as it goes
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let script = {
        let conn = Connection::open_in_memory()?; //~ fails
        conn.script("SELECT 1; SELECT 2")
    };
    assert_eq!(script.count(), 2);
    Ok(())
}
