//! error[E0382]: a backup owns the connection of its destination
use finalite::{Connection, Result, data::Backup};

fn main() -> Result<()> {
    let (source, destination) = (Connection::open_in_memory()?, Connection::open_in_memory()?);
    let mut backup = Backup::new(&source, destination)?;
    destination.execute("CREATE TABLE t(a)", ())?; //~ fails
    backup.step(1)?;
    Ok(())
}
