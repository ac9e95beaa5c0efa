//! error[E0502]: a transaction has the connection to itself, and the scan has rows on it
use finalite::{Connection, Error, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    conn.scan("VALUES (1), (2)", ()).for_each(|_| {
        conn.transaction()?.commit()?; //~ fails
        conn.execute("CREATE TABLE IF NOT EXISTS t(a)", ())?; //~ passes
        Ok::<_, Error>(())
    })?;
    conn.transaction()?.commit()
}
