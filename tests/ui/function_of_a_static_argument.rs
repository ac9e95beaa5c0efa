//! error[E0277]: a function takes arguments of any lifetime
use std::sync::Mutex;

use finalite::{Connection, Result};

static KEPT: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let keep = |text: &'static str| KEPT.lock().unwrap().push(text) == (); //~ fails
    let keep = |text: &str| text.is_empty(); //~ passes
    conn.create_scalar_function("keep", keep)?;
    KEPT.lock().unwrap().clear();
    Ok(())
}
