//! error[E0505]: a column to insert borrows its values
use finalite::insert::InsertColumn;
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let ids = vec![1_i64, 2];
    let column = InsertColumn::from(&ids);
    drop(ids); //~ fails
    conn.insert_columns("t", [("a", column)])?;
    Ok(())
}
