//! error[E0597]: a backup borrows its source
use finalite::{Connection, Result, data::Backup};

fn main() -> Result<()> {
    let source = Connection::open_in_memory()?;
    let mut backup = {
        let source = Connection::open_in_memory()?; //~ fails
        Backup::new(&source, Connection::open_in_memory()?)?
    };
    backup.step(1)?;
    Ok(())
}
