//! error[E0277]: the macro says what the tuple says
//! says: for another crate's, bind what it converts to
use std::num::Wrapping;

use finalite::{Connection, Result, params};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.execute("SELECT ?", params![Wrapping(1_i64)])?; //~ fails
    conn.execute("SELECT ?", params![Wrapping(1_i64).0])?; //~ passes
    Ok(())
}
