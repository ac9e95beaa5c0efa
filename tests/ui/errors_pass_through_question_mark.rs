//! error[E0277]: every call's error becomes a boxed one; a transaction that waits for a retry does not fit in
use finalite::Connection;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut conn = Connection::open_in_memory()?;
    conn.transaction()?.commit()?;
    conn.transaction()?.rollback()?;
    conn.transaction()?.savepoint()?.commit()?;
    conn.transaction()?.commit_or_return()?;
    if let Err(error) = conn.transaction()?.commit_or_return() {
        Err(error.into_transaction())?; //~ fails
        Err(error)?; //~ passes
    }
    conn.close_or_return()?;
    Ok(())
}
