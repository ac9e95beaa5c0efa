//! error[E0277]: a transaction uses its connection, which stays
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let tx = conn.transaction()?;
    std::thread::scope(|scope| {
        scope.spawn(move || drop(tx.commit())); //~ fails
        drop(tx.commit()); //~ passes
    });
    Ok(())
}
