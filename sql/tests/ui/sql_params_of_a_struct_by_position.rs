//! error[E0277]: the fields of a struct have names
//! says: are not the parameters of a statement with the types `AnyParams<2>`
use finalite::{Connection, Params, Result};
use finalite_sql::sql;

#[derive(Params)]
struct User {
    id: i64,
    name: &'static str,
}

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let ada = User { id: 1, name: "Ada" };
    sql!("INSERT INTO users(id, name) VALUES (?, ?)").execute(&conn, &ada)?; //~ fails
    sql!("INSERT INTO users(id, name) VALUES (:id, :name)").execute(&conn, &ada)?; //~ passes
    Ok(())
}
