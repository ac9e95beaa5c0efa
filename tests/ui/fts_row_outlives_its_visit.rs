//! error[E0521]: a row of a phrase is current until the next
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.create_fts_function("rows", |fts| {
        let mut rows = Vec::new();
        fts.query_phrase(0, |row| {
            rows.push(row.column_text(0)?); //~ fails
            rows.push(row.column_text(0)?.map(str::to_owned)); //~ passes
            Ok(true)
        })?;
        Ok(rows.len() as i64)
    })
}
