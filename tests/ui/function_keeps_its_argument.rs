//! error[E0521]: an argument lives for the call
use std::sync::Mutex;

use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    static KEPT: Mutex<Vec<&'static str>> = Mutex::new(Vec::new()); //~ fails
    static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new()); //~ passes
    conn.create_scalar_function("keep", |text: &str| {
        KEPT.lock().unwrap().push(text.into());
        true
    })?;
    Ok(())
}
