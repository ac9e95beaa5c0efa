//! error[-]: a pragma may take effect where it is prepared
//! says: Connection::pragma
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("PRAGMA user_version").query_one(&conn, ())?; //~ fails
    conn.pragma::<i64>("user_version")?; //~ passes
    Ok(())
}
