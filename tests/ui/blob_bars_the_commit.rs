//! error[E0505]: a blob is closed before its transaction commits
use finalite::{Connection, Result, data::Access};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let tx = conn.transaction()?;
    let mut blob = tx.blob(("t", "a", 1), Access::ReadWrite)?;
    tx.commit()?; //~ fails
    blob.write_at(b"a", 0)
}
