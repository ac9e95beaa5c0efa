//! error[-]: a field needs a name
//! says: column 2, `score * 2`, has no name that a field can have, at line 1, column 12 of the SQL
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let _: Option<f64> = sql!("SELECT id, score * 2 FROM posts").query_one(&conn, ())?.double; //~ fails
    let _: Option<f64> = sql!("SELECT id, score * 2 AS double FROM posts").query_one(&conn, ())?.double; //~ passes
    Ok(())
}
