//! error[E0277]: the closures of partitions run on several threads, a connection on one at a time
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let rows = conn.scan_table("t").select(["a"]).partitions(2);
    let step = |_: &mut (), _: finalite::Row<'_>| conn.execute("DELETE FROM u", ()).map(drop); //~ fails
    let step = |_: &mut (), row: finalite::Row<'_>| row.value(0).map(drop); //~ passes
    rows.fold(|| (), step, |(), ()| ())?;
    Ok(())
}
