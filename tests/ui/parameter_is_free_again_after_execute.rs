//! error[E0502]: `execute` is done with its parameters when it returns, rows are not
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut name = String::from("Ada");
    let mut statement = conn.prepare("SELECT ?")?;
    let kept = statement.query((&name,))?; //~ fails
    let kept = statement.execute((&name,))?; //~ passes
    name.push('!');
    drop(kept);
    Ok(())
}
