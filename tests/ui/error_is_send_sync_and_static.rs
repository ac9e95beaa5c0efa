//! error[E0277]: an error crosses threads and outlives everything; a transaction given back does neither
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    fn crosses<T: std::error::Error + Send + Sync + 'static>(_: T) {}
    if let Err(error) = conn.transaction()?.commit_or_return() {
        crosses(error); //~ fails
        crosses(finalite::Error::from(error)); //~ passes
    }
    if let Err(error) = conn.close_or_return() {
        crosses(error);
    }
    Ok(())
}
