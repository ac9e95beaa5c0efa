//! error[E0277]: an argument has a type that SQLite's values are read as
//! says: no SQL function
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.create_scalar_function("seconds", |time: std::time::Duration| time.as_secs() as i64)?; //~ fails
    conn.create_scalar_function("seconds", |time: i64| time / 1000)?; //~ passes
    Ok(())
}
