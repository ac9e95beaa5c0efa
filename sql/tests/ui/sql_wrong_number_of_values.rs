//! error[E0277]: the statement has two parameters
//! says: are not the parameters of a statement with the types `AnyParams<2>`
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("UPDATE users SET name = ? WHERE id = ?").execute(&conn, ("Ada",))?; //~ fails
    sql!("UPDATE users SET name = ? WHERE id = ?").execute(&conn, ("Ada", 1))?; //~ passes
    Ok(())
}
