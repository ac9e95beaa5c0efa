//! error[E0277]: SQLite calls an extension on the thread of the connection, which registers there
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.extend_with(|extension| {
        std::thread::scope(|scope| {
            scope.spawn(|| drop(extension.create_scalar_function("one", || 1))); //~ fails
        });
        Ok(())
    })
}
