//! error[-]: a statement without columns has no rows
//! says: the statement returns no rows
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("DELETE FROM users" as (i64,)).query_all(&conn, ())?; //~ fails
    sql!("DELETE FROM users RETURNING id" as (i64,)).query_all(&conn, ())?; //~ passes
    Ok(())
}
