//! error[E0308]: a column that may be NULL is an Option
//! says: expected `String`, found `Option<String>`
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let _: String = sql!("SELECT id, email FROM users").query_one(&conn, ())?.email; //~ fails
    let _: Option<String> = sql!("SELECT id, email FROM users").query_one(&conn, ())?.email; //~ passes
    Ok(())
}
