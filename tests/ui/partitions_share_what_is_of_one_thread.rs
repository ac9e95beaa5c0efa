//! error[E0277]: the closures of partitions run on several threads
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let rows = std::cell::Cell::new(0); //~ fails
    let rows = std::sync::Mutex::new(0); //~ passes
    let count = |_: &mut (), _: finalite::Row<'_>| Ok(drop(&rows));
    conn.scan_table("t").select(["a"]).partitions(2).fold(|| (), count, |(), ()| ())?;
    Ok(())
}
