//! error[E0597]: an interrupt handle knows when its connection is closed, a statement does not
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let outlives = {
        let conn = Connection::open_in_memory()?;
        let made = conn.prepare("SELECT 1")?; //~ fails
        let made = conn.interrupt_handle(); //~ passes
        made
    };
    drop(outlives);
    Ok(())
}
