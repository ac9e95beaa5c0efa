//! error[-]: SQLite does not understand it
//! says: near "FROM": syntax error, at line 1, column 14 of the SQL
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("SELECT name, FROM users").query_all(&conn, ())?; //~ fails
    sql!("SELECT name FROM users").query_all(&conn, ())?; //~ passes
    Ok(())
}
