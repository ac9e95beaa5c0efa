//! error[-]: what a scan is broken off with is not the memory of the row
use std::ops::ControlFlow;

use finalite::{Connection, Error, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let found = conn.scan("VALUES ('one')", ()).try_for_each(|row| {
        let text = row.get::<&str>(0)?;
        let text = text; //~ fails
        let text = text.to_owned(); //~ passes
        Ok::<_, Error>(ControlFlow::Break(text))
    })?;
    assert!(found.is_some());
    Ok(())
}
