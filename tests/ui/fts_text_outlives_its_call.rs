//! error[E0521]: the text of a row is that of the call
use std::sync::Mutex;

use finalite::{Connection, Result};

static KEPT: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.create_fts_function("keep", |fts| {
        let text = fts.column_text(0)?.unwrap_or_default();
        KEPT.lock().unwrap().push(text); //~ fails
        KEPT.lock().unwrap().push(if text.is_empty() { "empty" } else { "text" }); //~ passes
        Ok(1)
    })
}
