//! error[E0277]: rows use their connection, which stays
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare("SELECT 1")?;
    let mut sent = statement.query(())?;
    std::thread::scope(|scope| {
        scope.spawn(move || drop(sent.next())); //~ fails
        drop(sent.next()); //~ passes
    });
    Ok(())
}
