//! error[E0599]: FTS5 takes a query of a table within `ORDER BY rank` for its own
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.create_fts_function("reading", |fts| {
        let count = fts.connection().query_one::<i64>("SELECT count(*) FROM t", ())?; //~ fails
        let count = fts.row_count()?; //~ passes
        Ok(count)
    })
}
