//! error[E0277]: rows use their connection, which stays
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut sent = conn.prepare("SELECT 1")?.into_rows(())?;
    std::thread::scope(|scope| {
        scope.spawn(move || drop(sent.next())); //~ fails
        drop(sent.next()); //~ passes
    });
    Ok(())
}
