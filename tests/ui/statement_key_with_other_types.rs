//! error[E0277]: a key knows the types of its parameters
//! says: are not the parameters of a statement with the types
use finalite::{Connection, Result, StatementKey};

static NAME: StatementKey<(i64, String), String> = StatementKey::new("SELECT ?2 WHERE ?1 = 1");

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    NAME.query_one(&conn, (1,))?; //~ fails
    NAME.query_one(&conn, (1, "Ada"))?; //~ passes
    Ok(())
}
