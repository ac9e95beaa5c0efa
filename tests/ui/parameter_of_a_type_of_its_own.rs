//! error[E0277]: what is bound has to say how
//! says: for a type of your own, implement `finalite::ToSql`
use finalite::{Connection, Result};

struct UserId(i64);

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.execute("SELECT ?", (UserId(1),))?; //~ fails
    conn.execute("SELECT ?", (UserId(1).0,))?; //~ passes
    Ok(())
}
