//! error[E0277]: a function goes with its connection to another thread
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let shared = std::rc::Rc::new(1_i64); //~ fails
    let shared = std::sync::Arc::new(1_i64); //~ passes
    conn.create_scalar_function("one", move || *shared)?;
    Ok(())
}
