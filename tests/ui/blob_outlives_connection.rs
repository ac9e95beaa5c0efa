//! error[E0597]: a blob borrows its connection
use finalite::{Connection, Result, data::Access};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let blob = {
        let conn = Connection::open_in_memory()?; //~ fails
        conn.blob(("t", "a", 1), Access::ReadOnly)?
    };
    assert!(blob.is_empty());
    Ok(())
}
