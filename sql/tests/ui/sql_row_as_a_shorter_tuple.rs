//! error[-]: a tuple has as many types as there are columns
//! says: the number of columns is 2, and the tuple has 1
use finalite::{Connection, FromRow, Result};
use finalite_sql::sql;

#[derive(FromRow)]
struct User {
    id: i64,
    name: String,
}

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("SELECT id, name FROM users" as (i64,)).query_all(&conn, ())?; //~ fails
    sql!("SELECT id, name FROM users" as User).query_all(&conn, ())?; //~ passes
    Ok(())
}
