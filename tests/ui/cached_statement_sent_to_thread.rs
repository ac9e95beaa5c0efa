//! error[E0277]: a cached statement goes back to its connection, which stays
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut sent = conn.prepare_cached("SELECT 1")?;
    std::thread::scope(|scope| {
        scope.spawn(move || drop(sent.execute(()))); //~ fails
        drop(sent.execute(())); //~ passes
    });
    Ok(())
}
