//! error[-]: a key is one statement
//! says: more than one statement, at line 1, column 20 of the SQL
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("DELETE FROM users; DELETE FROM posts").execute(&conn, ())?; //~ fails
    sql!("DELETE FROM users;").execute(&conn, ())?; //~ passes
    Ok(())
}
