//! error[E0515]: a set of parameters outlives the closure that makes it
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let names = vec![String::from("Ada"), String::from("Grace")];
    let mut statement = conn.prepare("SELECT ?")?;
    statement.execute_many(names.into_iter().map(|name| (&name,)))?; //~ fails
    statement.execute_many(names.into_iter().map(|name| (name,)))?; //~ passes
    Ok(())
}
