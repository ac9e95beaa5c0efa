//! error[E0505]: borrowed text is bound without a copy
use finalite::{Connection, Result, named_params};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let name = String::from("Ada");
    let mut statement = conn.prepare("SELECT :name")?;
    let mut rows = statement.query(named_params! { ":name": &name })?;
    drop(name); //~ fails
    rows.next()?;
    Ok(())
}
