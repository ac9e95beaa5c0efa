//! error[-]: the schema is a file
//! says: no schema: there is no nowhere.sql in 
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!(schema = "nowhere.sql", "DELETE FROM users").execute(&conn, ())?; //~ fails
    sql!(schema = "schema.sql", "DELETE FROM users").execute(&conn, ())?; //~ passes
    Ok(())
}
