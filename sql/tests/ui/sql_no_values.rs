//! error[E0277]: the statement has a parameter
//! says: are not the parameters of a statement with the types `NamedParams<1>`
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("DELETE FROM users WHERE id = :id").execute(&conn, ())?; //~ fails
    sql!("DELETE FROM users WHERE id = :id").execute(&conn, [1])?; //~ passes
    Ok(())
}
