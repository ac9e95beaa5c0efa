//! error[E0277]: a column has to be read by somebody
//! says: for a type of your own, implement `finalite::FromSql`
use std::num::Wrapping;

use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.query_row("SELECT 1", (), |row| row.get::<Wrapping<i64>>(0))?; //~ fails
    conn.query_row("SELECT 1", (), |row| row.get::<i64>(0).map(Wrapping))?; //~ passes
    Ok(())
}
