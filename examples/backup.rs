//! A copy of a database that is in use: step by step while others write, into a file and back into memory.
//!
//! ```text
//! cargo run --example backup
//! ```

mod events;

use std::error::Error;
use std::time::Duration;

use finalite::Connection;
use finalite::data::{Backup, BackupPacing};

fn main() -> Result<(), Box<dyn Error>> {
    events::warn_on_stderr();
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("notes.db");
    let conn = Connection::open(&path)?;
    conn.execute_batch(
        "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000)
         INSERT INTO note(text) SELECT hex(zeroblob(400)) FROM n;",
    )?;
    let notes = |conn: &Connection| conn.query_one::<i64>("SELECT count(*) FROM note", ());

    // The application goes on writing, through a connection of its own: what was copied before is copied again.
    let application = Connection::open(&path)?;
    let mut has_written = false;
    let pages: u32 = conn.pragma("page_count")?;
    let pacing = BackupPacing::new().pages_per_step(pages.div_ceil(4)).pause(Duration::from_millis(1));
    let mut written = Ok(0);
    let mut backup = Backup::new(&conn, Connection::open(dir.path().join("copy.db"))?)?;
    backup.run(pacing, |progress| {
        let percent = progress.copied() * 100 / progress.page_count;
        let times = if progress.restarts == 1 { "time" } else { "times" };
        println!("{} %, begun again {} {times}", percent.next_multiple_of(25), progress.restarts);
        if !has_written {
            has_written = true;
            written = application.execute("INSERT INTO note(text) VALUES ('written meanwhile')", ());
        }
    })?;
    written?;
    let copy = backup.finish()?;
    println!("the copy has {} notes", notes(&copy)?);
    copy.close()?;

    // Without the pages that deleted rows have left.
    conn.execute("DELETE FROM note WHERE id < 500", ())?;
    let compact = dir.path().join("compact.db");
    conn.vacuum_into(&compact)?;
    let is_smaller = std::fs::metadata(&compact)?.len() < std::fs::metadata(&path)?.len();
    println!("the file without free pages is smaller: {is_smaller}");

    // And back.
    let loaded = Connection::open_in_memory()?.restore_from(dir.path().join("copy.db"), |_| {})?;
    println!("in memory: {} notes", notes(&loaded)?);
    Ok(())
}
