//! error[E0277]: a blob uses its connection, which stays
use finalite::{Connection, Result, data::Access};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let sent = conn.blob(("t", "a", 1), Access::ReadOnly)?;
    std::thread::scope(|scope| {
        scope.spawn(move || drop(sent.close())); //~ fails
        drop(sent.close()); //~ passes
    });
    Ok(())
}
