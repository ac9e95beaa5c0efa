//! error[E0277]: an interrupt handle is for other threads, its connection for one
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    fn share<T: Clone + Send + Sync + 'static>(_: T) {}
    share(std::sync::Arc::new(conn)); //~ fails
    share(conn.interrupt_handle()); //~ passes
    Ok(())
}
