//! error[E0277]: a scan borrows a connection, which is of one thread at a time; a batch is of any
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let sent = conn.scan("VALUES (1)", ()); //~ fails
    let sent = conn.scan("VALUES (1)", ()).columns()?; //~ passes
    std::thread::scope(|scope| scope.spawn(move || drop(sent)).join().unwrap());
    Ok(())
}
