//! error[-]: a field needs a name of its own
//! says: columns 1 and 2 are both called `id`, at line 1, column 18 of the SQL
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("SELECT users.id, posts.id FROM users, posts").query_one(&conn, ())?; //~ fails
    sql!("SELECT users.id, posts.id AS post FROM users, posts").query_one(&conn, ())?; //~ passes
    Ok(())
}
