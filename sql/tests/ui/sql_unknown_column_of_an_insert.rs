//! error[-]: the schema has no such column
//! says: table posts has no column named headline, at line 1, column 27 of the SQL
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!("INSERT INTO posts(author, headline) VALUES (?, ?)").execute(&conn, (1, "a"))?; //~ fails
    sql!("INSERT INTO posts(author, title) VALUES (?, ?)").execute(&conn, (1, "a"))?; //~ passes
    Ok(())
}
