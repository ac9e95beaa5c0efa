//! error[-]: the compiler has to know it
//! says: the SQL is a string literal
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    const SQL: &str = "DELETE FROM users"; sql!(SQL).execute(&conn, ())?; //~ fails
    sql!("DELETE FROM users").execute(&conn, ())?; //~ passes
    Ok(())
}
