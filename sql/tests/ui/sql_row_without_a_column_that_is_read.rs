//! error[E0080]: the statement does not have it
//! says: the statement has no column `name`, which `User` reads
use finalite::{Connection, FromRow, Result};
use finalite_sql::sql;

#[derive(FromRow)]
struct User {
    id: i64,
    name: String,
}

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("SELECT id FROM users" as User).query_all(&conn, ())?; //~ fails
    sql!("SELECT id, name FROM users" as User).query_all(&conn, ())?; //~ passes
    Ok(())
}
