//! error[E0277]: the statement has no parameters
//! says: are not the parameters of a statement with the types `()`
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("DELETE FROM users").execute(&conn, (1,))?; //~ fails
    sql!("DELETE FROM users").execute(&conn, ())?; //~ passes
    Ok(())
}
