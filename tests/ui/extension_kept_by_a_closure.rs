//! error[E0521]: the connection of a host is used until the extension is initialized
use std::cell::RefCell;

use finalite::extend::ReadConnection;
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let kept: RefCell<Option<ReadConnection<'_>>> = RefCell::new(None);
    conn.extend_with(|extension| {
        *kept.borrow_mut() = Some(extension.connection()); //~ fails
        extension.connection().query_one::<i64>("SELECT 1", ())?;
        Ok(())
    })?;
    Ok(())
}
