//! error[E0277]: a row has to be read by somebody
//! says: derive or implement `finalite::FromRow`, or read the row by a closure
use finalite::{Connection, Result};

struct User(i64);

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let user: User = conn.query_one("SELECT 1", ())?; //~ fails
    let user = conn.query_row("SELECT 1", (), |row| Ok(User(row.get(0)?)))?; //~ passes
    drop(user.0);
    Ok(())
}
