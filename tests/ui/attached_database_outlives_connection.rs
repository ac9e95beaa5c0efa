//! error[E0597]: an attached database borrows its connection
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let attached = {
        let conn = Connection::open_in_memory()?; //~ fails
        conn.attach(":memory:", "side")?
    };
    assert_eq!(attached.name(), "side");
    Ok(())
}
