//! error[E0505]: a connection changes threads alone
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let statement = conn.prepare("SELECT 1")?;
    std::thread::spawn(|| drop(conn)); //~ fails
    assert_eq!(statement.column_count(), 1);
    Ok(())
}
