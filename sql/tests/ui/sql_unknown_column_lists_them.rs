//! error[-]: the columns that there are
//! says: help: users has id, name, email, is_admin
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("SELECT nmae FROM users").query_all(&conn, ())?; //~ fails
    sql!("SELECT name FROM users").query_all(&conn, ())?; //~ passes
    Ok(())
}
