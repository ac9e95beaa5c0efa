//! error[E0502]: SQLite reads a lent parameter where it is, from row to row
use finalite::{Connection, Error, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut text = Some(String::from("lent"));
    let lent = text.as_deref();
    conn.scan("SELECT ? UNION ALL SELECT 1", (lent,)).for_each(|_| {
        drop(std::mem::take(&mut text)); //~ fails
        Ok::<_, Error>(())
    })?;
    drop(text);
    Ok(())
}
