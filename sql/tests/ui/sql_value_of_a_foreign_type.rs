//! error[E0277]: each value is bound
//! says: cannot be bound
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("DELETE FROM users WHERE id = ?").execute(&conn, (std::thread::current(),))?; //~ fails
    sql!("DELETE FROM users WHERE id = ?").execute(&conn, (1,))?; //~ passes
    Ok(())
}
