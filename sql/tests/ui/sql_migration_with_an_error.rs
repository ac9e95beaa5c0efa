//! error[-]: migrations are run
//! says: 0002_posts.sql): no such table: user, at line 1, column 1
use finalite::{Connection, Result};
use finalite_sql::sql;

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    sql!(schema = "tests/ui/broken_migrations", "DELETE FROM users").execute(&conn, ())?; //~ fails
    sql!(schema = "tests/migrations", "DELETE FROM users").execute(&conn, ())?; //~ passes
    Ok(())
}
