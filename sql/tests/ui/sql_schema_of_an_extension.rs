//! error[-]: the SQLite that checks has no extensions
//! says: leave this out of the schema that is checked
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!(schema = "tests/ui/extension.sql", "DELETE FROM users").execute(&conn, ())?; //~ fails
    sql!(schema = "schema.sql", "DELETE FROM users").execute(&conn, ())?; //~ passes
    Ok(())
}
