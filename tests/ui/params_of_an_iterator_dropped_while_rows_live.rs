//! error[E0505]: what an iterator lends is bound without a copy
use finalite::{Connection, Result, params_from_iter};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let names = vec![String::from("Ada"), String::from("Grace")];
    let mut statement = conn.prepare("SELECT ?, ?")?;
    let mut rows = statement.query(params_from_iter(&names))?;
    drop(names); //~ fails
    rows.next()?;
    Ok(())
}
