//! error[-]: a key is one statement
//! says: the SQL is empty
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("-- nothing").execute(&conn, ())?; //~ fails
    sql!("-- all\nDELETE FROM users").execute(&conn, ())?; //~ passes
    Ok(())
}
