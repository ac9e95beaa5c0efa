//! error[-]: the schema is read
//! says: tests/ui/broken.sql: near "c": syntax error, at line 2, column 21
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!(schema = "tests/ui/broken.sql", "DELETE FROM users").execute(&conn, ())?; //~ fails
    sql!(schema = "schema.sql", "DELETE FROM users").execute(&conn, ())?; //~ passes
    Ok(())
}
