//! error[E0277]: a read lock admits several threads to a connection, a mutex one
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = std::sync::RwLock::new(Connection::open_in_memory()?); //~ fails
    let conn = std::sync::Mutex::new(Connection::open_in_memory()?); //~ passes
    std::thread::scope(|scope| {
        scope.spawn(|| drop(conn.is_poisoned()));
    });
    Ok(())
}
