//! error[E0597]: what the progress closure borrows lives until the scan has run
use std::ops::ControlFlow;

use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut scan = conn.scan("VALUES (1)", ());
    let mut rows = 0; //~ passes
    {
        let mut rows = 0; //~ fails
        scan = scan.progress(1, |read| {
            rows = read;
            ControlFlow::Continue(())
        });
    }
    scan.columns()?;
    Ok(())
}
