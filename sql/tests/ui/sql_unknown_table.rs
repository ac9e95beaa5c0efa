//! error[-]: the schema has no such table
//! says: no such table: user, at line 1, column 13 of the SQL
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("DELETE FROM user").execute(&conn, ())?; //~ fails
    sql!("DELETE FROM users").execute(&conn, ())?; //~ passes
    Ok(())
}
