//! Two files that are changed apart and brought together by changesets: conflicts are decided by the time of the edit,
//! and the local changes are rebased on that outcome.
//!
//! ```text
//! LIBSQLITE3_FLAGS="-DSQLITE_ENABLE_SESSION -DSQLITE_ENABLE_PREUPDATE_HOOK" \
//!     cargo run --features session --example sync
//! ```

mod events;

use std::error::Error;

use finalite::data::{Changeset, Conflict, ConflictAction, ConflictKind, Rebaser};
use finalite::{Connection, Result};

/// A note: its number, its text, and when it was edited.
type Note = (i64, String, i64);

fn main() -> std::result::Result<(), Box<dyn Error>> {
    events::warn_on_stderr();
    let dir = tempfile::tempdir()?;
    let open = |name: &str| -> Result<Connection> {
        let conn = Connection::open(dir.path().join(name))?;
        conn.execute_batch(
            "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL, edited INTEGER NOT NULL);
             INSERT INTO note VALUES (1, 'milk', 100), (2, 'bread', 100)",
        )?;
        Ok(conn)
    };
    let (server, laptop) = (open("server.db")?, open("laptop.db")?);

    // Both edit note 1, and each makes changes of its own.
    let at_server = record(&server, |conn| {
        conn.execute("UPDATE note SET text = 'oat milk', edited = 200 WHERE id = 1", ())?;
        conn.execute("INSERT INTO note VALUES (3, 'apples', 210)", ())
    })?;
    let at_laptop = record(&laptop, |conn| {
        conn.execute("UPDATE note SET text = 'milk, 2 l', edited = 300 WHERE id = 1", ())?;
        conn.execute("DELETE FROM note WHERE id = 2", ())
    })?;
    println!("the server's changes are {} bytes, to be sent to the laptop", at_server.as_bytes().len());

    // The laptop takes the server's changes over its own, where they are newer.
    let applied = laptop.apply_changeset(&at_server, newer_wins)?;
    println!("conflicts on the laptop: {}, of which it left out {}", applied.conflicts(), applied.omitted());

    // Its own changes, rebased on that outcome, are free of conflicts at the server.
    let mut rebaser = Rebaser::new()?;
    rebaser.add(&applied)?;
    let rebased = rebaser.rebase(&at_laptop)?;
    print!("the laptop's changes:\n{}", rebased.to_sql(&laptop)?);
    let applied = server.apply_changeset(&rebased, |_conflict| ConflictAction::Abort)?;
    println!("conflicts at the server: {}", applied.conflicts());

    let notes = |conn: &Connection| conn.query_all::<Note>("SELECT id, text, edited FROM note ORDER BY id", ());
    println!("both are equal: {}", notes(&server)? == notes(&laptop)?);
    for (id, text, _) in notes(&server)? {
        println!("{id}: {text}");
    }

    // The laptop changes its mind.
    server.apply_changeset(&rebased.invert()?, |_conflict| ConflictAction::Omit)?;
    println!("undone at the server: {}", server.query_one::<String>("SELECT text FROM note WHERE id = 1", ())?);
    Ok(())
}

/// Returns the changes that a closure makes.
fn record<R>(conn: &Connection, change: impl FnOnce(&Connection) -> Result<R>) -> Result<Changeset> {
    let mut session = conn.session()?;
    session.attach("note")?;
    change(conn)?;
    session.changeset()
}

/// The later edit of a note wins; deletions and what else is in the way do not.
fn newer_wins(conflict: &Conflict<'_>) -> ConflictAction {
    const EDITED: usize = 2;
    let theirs = conflict.change().and_then(|change| change.new_value(EDITED).ok().flatten());
    let mine = conflict.row_value(EDITED).ok().flatten();
    match (conflict.kind(), theirs.map(|value| value.as_i64()), mine.map(|value| value.as_i64())) {
        (ConflictKind::Data | ConflictKind::Conflict, Some(Ok(theirs)), Some(Ok(mine))) if theirs > mine => {
            ConflictAction::Replace
        }
        _ => ConflictAction::Omit,
    }
}
