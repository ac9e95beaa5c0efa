//! Changesets as streams, their groups, patchsets and conflicts; snapshots of a log.

#[cfg(feature = "session")]
use finalite::data::{ApplyOptions, ChangeGroup, Changes, Changeset, ConflictAction};
#[cfg(feature = "session")]
use finalite::{Connection, Error, OpenOptions, Result};

use super::Run::Alone;
use super::Scenario;
#[cfg(feature = "snapshot")]
use super::files::on_a_copy;

pub const SCENARIOS: &[Scenario] = &[
    #[cfg(feature = "session")]
    Scenario {
        name: "changesets as streams",
        run: Alone(|world| {
            let (here, there) = (tables(world, "")?, tables(world, "")?);
            let changeset = recorded(&here)?;
            let mut inverted = Vec::new();
            Changeset::invert_stream(changeset.as_bytes(), &mut inverted)?;
            assert_eq!(inverted, changeset.invert()?.as_bytes());
            let mut reader = changeset.as_bytes();
            let mut changes = Changes::from_reader(&mut reader)?;
            let mut seen = 0;
            while let Some(change) = changes.next()? {
                for column in 0..change.column_count() {
                    change.old_value(column)?;
                    change.new_value(column)?;
                }
                seen += 1;
            }
            drop(changes);
            assert_eq!(seen, 3);
            let mut group = ChangeGroup::new()?;
            group.add_from(changeset.as_bytes())?;
            let mut written = Vec::new();
            group.write_to(&mut written)?;
            assert_eq!(written.len(), changeset.as_bytes().len());
            drop(group);
            let applied =
                there.apply_changeset_from(changeset.as_bytes(), ApplyOptions::new(), |_| ConflictAction::Abort)?;
            assert_eq!(applied.conflicts(), 0);
            same_rows(&here, &there)?;
            there.close()?;
            here.close()
        }),
    },
    #[cfg(feature = "session")]
    Scenario {
        name: "single changes of a group",
        run: Alone(|world| {
            let conn = tables(world, "")?;
            let changeset = recorded(&conn)?;
            let mut group = ChangeGroup::new()?;
            let mut changes = changeset.changes()?;
            while let Some(change) = changes.next()? {
                group.add_change(&change)?;
            }
            drop(changes);
            assert_eq!(group.changeset()?.as_bytes().len(), changeset.as_bytes().len());
            drop(group);
            conn.close()
        }),
    },
    #[cfg(feature = "session")]
    Scenario {
        name: "tables without keys, sizes, patchsets",
        run: Alone(|world| {
            let conn = tables(world, "CREATE TABLE plain(a, b)")?;
            let mut session = conn.session()?;
            session.include_rowid_tables()?;
            session.compute_size()?;
            session.attach_all()?;
            conn.execute("INSERT INTO plain VALUES (1, hex(zeroblob(700)))", ())?;
            let mut patchset = Vec::new();
            // An error of recording is that of this call.
            session.write_patchset(&mut patchset)?;
            assert!(session.size_max() > 700);
            assert_eq!(patchset, session.patchset()?.as_bytes());
            drop(session);
            conn.close()
        }),
    },
    #[cfg(feature = "session")]
    Scenario {
        name: "the values of conflicts",
        run: Alone(|world| {
            let (here, there) = (tables(world, "")?, tables(world, "")?);
            let changeset = recorded(&here)?;
            there.execute("UPDATE s SET a = 'mine'", ())?;
            // An error of the closure is not returned by the call: the scenario keeps it.
            let mut failed: Option<Error> = None;
            let applied = there.apply_changeset(&changeset, |conflict| {
                let read = || -> Result<()> {
                    for column in 0..3 {
                        conflict.row_value(column)?;
                        if let Some(change) = conflict.change() {
                            change.old_value(column)?;
                        }
                    }
                    Ok(())
                };
                failed = failed.take().or(read().err());
                ConflictAction::Omit
            });
            failed.map_or(Ok(()), Err)?;
            assert_eq!(applied?.conflicts(), 2);
            there.close()?;
            here.close()
        }),
    },
    #[cfg(feature = "snapshot")]
    Scenario {
        name: "earlier states of a log",
        run: Alone(|world| {
            on_a_copy(world, "wal.db", |conn| {
                conn.set_pragma("wal_autocheckpoint", 0)?;
                conn.execute("UPDATE t SET c = NULL WHERE a = 1", ())?;
                let tx = conn.transaction()?;
                tx.exists("SELECT 1 FROM t", ())?;
                let snapshot = tx.snapshot()?;
                tx.commit()?;
                conn.execute("DELETE FROM t", ())?;
                let earlier = conn.transaction_at(&snapshot)?;
                assert_eq!(earlier.query_one::<i64>("SELECT count(*) FROM t", ())?, 3);
                earlier.rollback()?;
                conn.recover_snapshots()
            })
        }),
    },
];

/// For calls alone: where memory runs out for the comparison of two keys, SQLite 3.54 runs SQL that lacks it, and
/// `sqlite3session_diff` returns SQLITE_ERROR.
#[cfg(c_calls_wrapped)]
pub const OF_CALLS: &[Scenario] = &[Scenario {
    name: "what makes two tables equal",
    run: Alone(|world| {
        let conn = tables(world, "ATTACH ':memory:' AS old; CREATE TABLE old.s(id INTEGER PRIMARY KEY, a, b)")?;
        conn.execute_batch("INSERT INTO old.s VALUES (2, 'zwei', 0), (5, 'fünf', hex(zeroblob(900)))")?;
        let mut session = conn.session()?;
        session.diff("old", "s")?;
        let changeset = session.changeset()?;
        drop(session);
        let mut changes = changeset.changes()?;
        let mut seen = 0;
        while changes.next()?.is_some() {
            seen += 1;
        }
        drop(changes);
        assert_eq!(seen, 2);
        conn.close()
    }),
}];

/// A database with two rows in `s`, and what else the script makes.
#[cfg(feature = "session")]
fn tables(world: &super::World, more: &str) -> Result<Connection> {
    let conn = world.options(OpenOptions::new()).open_in_memory()?;
    let script = "CREATE TABLE s(id INTEGER PRIMARY KEY, a, b); INSERT INTO s VALUES (1, 'eins', 0), (2, 'zwei', 0)";
    conn.execute_batch(&format!("{script};{more}"))?;
    Ok(conn)
}

/// One row inserted, one changed, one deleted.
#[cfg(feature = "session")]
fn recorded(conn: &Connection) -> Result<Changeset> {
    let mut session = conn.session()?;
    session.attach("s")?;
    conn.execute_batch(
        "INSERT INTO s VALUES (3, 'drei', hex(zeroblob(1500))); UPDATE s SET a = 'uno' WHERE id = 1;
         DELETE FROM s WHERE id = 2",
    )?;
    session.changeset()
}

#[cfg(feature = "session")]
fn same_rows(one: &Connection, other: &Connection) -> Result<()> {
    let rows =
        |conn: &Connection| conn.query_all::<(i64, String, i64)>("SELECT id, a, length(b) FROM s ORDER BY id", ());
    assert_eq!(rows(one)?, rows(other)?);
    Ok(())
}
