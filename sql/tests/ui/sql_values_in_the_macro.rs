//! error[-]: values are passed where it is run
//! says: values are passed where the statement is run
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("DELETE FROM users WHERE id = ?", 1).execute(&conn)?; //~ fails
    sql!("DELETE FROM users WHERE id = ?").execute(&conn, (1,))?; //~ passes
    Ok(())
}
