//! error[E0277]: one thread at a time uses a connection: it can be given away, and not be shared
//! says: threads that run at once open one each, or borrow them from a `finalite::pool::Pool`
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    std::thread::scope(|scope| {
        scope.spawn(|| conn.execute("CREATE TABLE t(a)", ())); //~ fails
        scope.spawn(move || conn.execute("CREATE TABLE t(a)", ())); //~ passes
    });
    Ok(())
}
