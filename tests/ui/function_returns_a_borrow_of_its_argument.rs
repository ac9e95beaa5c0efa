//! error[-]: the compiler infers one result type for all lifetimes
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.create_scalar_function("trimmed", |text: &str| text.trim())?; //~ fails
    conn.create_scalar_function("trimmed", |text: &str| text.trim().to_owned())?; //~ passes
    Ok(())
}
