//! error[-]: the compiler opens no database
//! says: not authorized
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!(schema = "tests/ui/attach.sql", "DELETE FROM users").execute(&conn, ())?; //~ fails
    sql!(schema = "schema.sql", "DELETE FROM users").execute(&conn, ())?; //~ passes
    Ok(())
}
