//! error[E0502]: the closure cannot close the connection that is read
use finalite::{Connection, Error, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut conn = Some(conn);
    conn.as_ref().unwrap().scan("VALUES (1), (2)", ()).for_each(|_| {
        drop(conn.take()); //~ fails
        Ok::<_, Error>(())
    })?;
    drop(conn.take());
    Ok(())
}
