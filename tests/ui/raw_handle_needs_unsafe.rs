//! error[E0133]: whoever takes the handle answers for it
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let handle = conn.as_raw(); //~ fails
    let handle = unsafe { conn.as_raw() }; //~ passes
    assert!(!handle.is_null());
    Ok(())
}
