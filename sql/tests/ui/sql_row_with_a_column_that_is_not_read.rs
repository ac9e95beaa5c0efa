//! error[E0080]: no field reads it
//! says: no field of `User` reads column 3, `email`: give it one
use finalite::{Connection, FromRow, Result};
use finalite_sql::sql;

#[derive(FromRow)]
struct User {
    id: i64,
    name: String,
}

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("SELECT id, name, email FROM users" as User).query_all(&conn, ())?; //~ fails
    sql!("SELECT id, name FROM users" as User).query_all(&conn, ())?; //~ passes
    Ok(())
}
