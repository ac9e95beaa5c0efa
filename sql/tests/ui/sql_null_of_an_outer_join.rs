//! error[E0308]: the right side of a LEFT JOIN may be NULL
//! says: found `Option<String>`
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let _: String = sql!("SELECT title, name FROM posts LEFT JOIN users ON author = users.id").query_one(&conn, ())?.name; //~ fails
    let _: String = sql!("SELECT title, name FROM posts JOIN users ON author = users.id").query_one(&conn, ())?.name; //~ passes
    Ok(())
}
