//! error[E0282]: nothing says of which type an expression is
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let row = sql!("SELECT id, count(*) AS n FROM users GROUP BY id").query_one(&conn, ())?; //~ fails
    let row = sql!("SELECT id, count(*) AS \"n: u64\" FROM users GROUP BY id").query_one(&conn, ())?; //~ passes
    println!("{}", row.n.leading_zeros());
    Ok(())
}
