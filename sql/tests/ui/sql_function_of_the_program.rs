//! error[-]: the SQLite that checks has no functions of the program
//! says: StatementKey::new
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let _: i64 = sql!("SELECT levenshtein(name, 'a') FROM users").query_one(&conn, ())?; //~ fails
    let _: i64 = sql!("SELECT length(name) FROM users").query_one(&conn, ())?; //~ passes
    Ok(())
}
