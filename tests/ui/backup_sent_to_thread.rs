//! error[E0277]: a backup uses its source, which stays
use finalite::{Connection, Result, data::Backup};

fn main() -> Result<()> {
    let source = Connection::open_in_memory()?;
    let mut sent = Backup::new(&source, Connection::open_in_memory()?)?;
    std::thread::scope(|scope| {
        scope.spawn(move || drop(sent.step(1))); //~ fails
        drop(sent.step(1)); //~ passes
    });
    Ok(())
}
