//! error[E0277]: a format of times applies to a type of times
//! says: is no point in time
use std::time::SystemTime;

use finalite::convert::UnixSeconds;
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.execute("SELECT ?", (UnixSeconds(1_700_000_000_i64),))?; //~ fails
    conn.execute("SELECT ?", (UnixSeconds(SystemTime::now()),))?; //~ passes
    Ok(())
}
