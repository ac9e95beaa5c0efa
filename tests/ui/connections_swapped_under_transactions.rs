//! error[E0596]: a transaction must commit where it began
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let mut other = Connection::open_in_memory()?;
    let mut one = conn.transaction()?;
    let mut two = other.transaction()?;
    std::mem::swap(&mut *one, &mut *two); //~ fails
    std::mem::swap(&mut one, &mut two); //~ passes
    one.commit()?;
    two.commit()?;
    Ok(())
}
