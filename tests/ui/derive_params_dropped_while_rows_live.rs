//! error[E0505]: the text of a struct is bound without a copy
use finalite::{Connection, Params, Result};

#[derive(Params)]
struct User {
    name: String,
}

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let user = User { name: "Ada".into() };
    let mut statement = conn.prepare("SELECT :name")?;
    let mut rows = statement.query(&user)?;
    drop(user); //~ fails
    rows.next()?;
    Ok(())
}
