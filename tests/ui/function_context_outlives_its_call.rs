//! error[E0521]: the connection of a function ends with the call
use std::cell::RefCell;

use finalite::extend::{FunctionOptions, ReadConnection};
use finalite::{Connection, Result};

thread_local!(static KEPT: RefCell<Option<ReadConnection<'static>>> = const { RefCell::new(None) });

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.create_scalar_function_with("keep", FunctionOptions::new(), |call| {
        let connection = call.connection();
        KEPT.set(Some(connection)); //~ fails
        connection.exists("SELECT 1", [])?; //~ passes
        Ok(1)
    })?;
    KEPT.take();
    Ok(())
}
