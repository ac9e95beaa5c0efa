//! error[E0597]: borrowed text is bound without a copy, also where the rows own the statement
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let name = String::from("Ada");
    let mut rows = {
        let name = String::from("Grace"); //~ fails
        conn.prepare("SELECT ?")?.into_rows((&name,))?
    };
    rows.next()?;
    Ok(())
}
