//! error[E0521]: a batch is filled again when the closure returns
use finalite::{Connection, Error, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut kept = Vec::new();
    conn.scan("VALUES (1), (2)", ()).batches(1, |batch| {
        kept.push(batch); //~ fails
        kept.push(batch.clone()); //~ passes
        Ok::<_, Error>(())
    })?;
    assert_eq!(kept.len(), 2);
    Ok(())
}
