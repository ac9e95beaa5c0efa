//! error[E0596]: swapping would put a statement into the slot of another SQL, or of another connection
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut one = conn.prepare_cached("SELECT 1")?;
    let mut two = conn.prepare_cached("SELECT 2")?;
    std::mem::swap(&mut *one, &mut *two); //~ fails
    std::mem::swap(&mut one, &mut two); //~ passes
    assert_eq!((one.sql(), two.sql()), ("SELECT 2", "SELECT 1"));
    Ok(())
}
