//! error[E0004]: a match over error kinds has an arm for those to come
use finalite::{Connection, Error, ErrorKind, Result};

fn main() -> Result<()> {
    let error = Connection::open("").and_then(|conn| conn.close()).err();
    match error.as_ref().map(Error::kind) {
        None | Some(ErrorKind::Interrupted | ErrorKind::NoMemory { .. }) => {}
        Some(_) => {} //~ passes
    }
    Ok(())
}
