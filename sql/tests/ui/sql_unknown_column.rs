//! error[-]: the schema has no such column
//! says: no such column: nmae, at line 1, column 12 of the SQL
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("SELECT id, nmae FROM users").query_all(&conn, ())?; //~ fails
    sql!("SELECT id, name FROM users").query_all(&conn, ())?; //~ passes
    Ok(())
}
