//! Applying changesets: conflicts, transactions, tables that differ.

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use finalite::data::{ApplyOptions, Changeset, ConflictAction, ConflictKind};
use finalite::{ChangesetObstacle, Connection, ErrorKind, ResultCode, Value};

use super::{changeset_of, lines_of, open, record, rows, value};

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// Two connections with the same row, and the changeset of an update at the first.
fn diverged(at_second: &str) -> (Connection, Changeset) {
    let (here, there) = (open(), open());
    for conn in [&here, &there] {
        conn.execute("INSERT INTO t VALUES (1, 'old', 0)", ()).unwrap();
    }
    let changeset = changeset_of(&here, "UPDATE t SET a = 'new' WHERE id = 1; INSERT INTO t VALUES (2, 'two', 0)");
    there.execute_batch(at_second).unwrap();
    (there, changeset)
}

/// The kinds of the conflicts, with old, new and present value of `a`.
fn conflicts_of(conn: &Connection, changeset: &Changeset, action: ConflictAction) -> Vec<String> {
    let mut seen = Vec::new();
    conn.apply_changeset(changeset, |conflict| {
        let change = conflict.change().unwrap();
        let values =
            [change.old_value(1), change.new_value(1), conflict.row_value(1)].map(|found| value(found.unwrap()));
        seen.push(format!("{:?} {}", conflict.kind(), values.join(" ")));
        action
    })
    .unwrap();
    seen
}

#[test]
fn changes_are_made() {
    let (there, changeset) = diverged("");
    let applied = there.apply_changeset(&changeset, |conflict| panic!("{conflict:?}")).unwrap();
    assert_eq!((applied.conflicts(), applied.rebase_bytes().len()), (0, 0));
    assert_eq!(rows(&there), [(1, text("new"), Value::Integer(0)), (2, text("two"), Value::Integer(0))]);
}

#[test]
fn conflicts_are_of_a_kind_and_decided() {
    use ConflictAction::{Omit, Replace};
    let data = "UPDATE t SET a = 'mine' WHERE id = 1";
    let (there, changeset) = diverged(data);
    assert_eq!(conflicts_of(&there, &changeset, Omit), ["Data old new mine"]);
    assert_eq!(rows(&there)[0].1, text("mine"));
    let (there, changeset) = diverged(data);
    assert_eq!(conflicts_of(&there, &changeset, Replace), ["Data old new mine"]);
    assert_eq!(rows(&there)[0].1, text("new"));

    let (there, changeset) = diverged("DELETE FROM t");
    assert_eq!(conflicts_of(&there, &changeset, Omit), ["NotFound old new _"]);
    assert_eq!(rows(&there).len(), 1);

    let (there, changeset) = diverged("INSERT INTO t VALUES (2, 'mine', 0)");
    assert_eq!(conflicts_of(&there, &changeset, Replace), ["Conflict _ two mine"]);
    assert_eq!(rows(&there)[1].1, text("two"));

    let (there, changeset) = diverged("CREATE UNIQUE INDEX x ON t(a); INSERT INTO t VALUES (5, 'two', 0)");
    assert_eq!(conflicts_of(&there, &changeset, Omit), ["Constraint _ two _"]);
    assert_eq!(rows(&there).len(), 2);
}

#[test]
fn an_abort_takes_everything_back() {
    let (there, changeset) = diverged("INSERT INTO t VALUES (2, 'mine', 0)");
    let before = rows(&there);
    let error = there.apply_changeset(&changeset, |_| ConflictAction::Abort).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::ABORT), "{error}");
    assert_eq!(rows(&there), before);
    assert!(there.is_autocommit());
    // The same within a transaction, which goes on.
    there.execute_batch("BEGIN; INSERT INTO t VALUES (9, 0, 0)").unwrap();
    there.apply_changeset(&changeset, |_| ConflictAction::Abort).unwrap_err();
    assert_eq!(rows(&there).len(), before.len() + 1);
    there.execute_batch("COMMIT").unwrap();
}

#[test]
fn a_replacement_where_there_is_nothing_is_refused() {
    let (there, changeset) = diverged("DELETE FROM t");
    let error = there.apply_changeset(&changeset, |_| ConflictAction::Replace).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    assert!(rows(&there).is_empty());
}

#[test]
fn a_panic_takes_everything_back() {
    let (there, changeset) = diverged("DELETE FROM t");
    let panic = catch_unwind(AssertUnwindSafe(|| there.apply_changeset(&changeset, |_| panic!("no idea"))));
    assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "no idea");
    assert!(rows(&there).is_empty() && there.is_autocommit());
    there.apply_changeset(&changeset, |_| ConflictAction::Omit).unwrap();
}

#[test]
fn a_closure_cannot_use_the_connection() {
    let (there, changeset) = diverged("DELETE FROM t");
    let mut errors = Vec::new();
    let mut options = ApplyOptions::new();
    let conn = &there;
    options = options.filter(|_| conn.is_autocommit());
    there
        .apply_changeset_with(&changeset, options.skip_unknown_tables(true), |_| {
            errors.push(conn.query_one::<i64>("SELECT 1", ()).unwrap_err().to_string());
            ConflictAction::Omit
        })
        .unwrap();
    assert!(errors.iter().all(|error| error.contains("callback")), "{errors:?}");
}

#[test]
fn a_transaction_may_take_it_back() {
    let (mut there, changeset) = diverged("");
    let tx = there.transaction().unwrap();
    tx.apply_changeset(&changeset, |_| ConflictAction::Abort).unwrap();
    assert_eq!(rows(&tx).len(), 2);
    drop(tx);
    assert_eq!(rows(&there).len(), 1);
}

#[test]
fn hooks_see_what_is_applied() {
    let (there, changeset) = diverged("");
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&count);
    let _subscription = there
        .on_update(move |_| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        })
        .unwrap();
    let session = record(&there);
    there.apply_changeset(&changeset, |_| ConflictAction::Abort).unwrap();
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 2);
    assert_eq!(lines_of(&session.changeset().unwrap()), lines_of(&changeset));
}

#[test]
fn foreign_keys_are_a_conflict_of_their_own() {
    let schema = "CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent);
         INSERT INTO parent VALUES (1)";
    let (here, there) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
    here.execute_batch(schema).unwrap();
    there.execute_batch(schema).unwrap();
    let changeset = changeset_of(&here, "INSERT INTO child VALUES (1, 1), (2, 1)");
    there.execute("DELETE FROM parent", ()).unwrap();
    let mut seen = Vec::new();
    let result = there.apply_changeset(&changeset, |conflict| {
        seen.push((conflict.kind(), conflict.change().is_some()));
        assert!(conflict.row_value(0).unwrap().is_none());
        ConflictAction::Abort
    });
    assert_eq!(result.unwrap_err().code(), Some(ResultCode::CONSTRAINT));
    assert_eq!(seen, [(ConflictKind::ForeignKey, false)]);
    // Nothing is left out: the violation is committed, as it is where foreign keys are not enforced.
    there.apply_changeset(&changeset, |_| ConflictAction::Omit).unwrap();
    assert!(there.is_autocommit());
    assert_eq!(there.query_all::<String>("SELECT parent FROM pragma_foreign_key_check", ()).unwrap(), ["parent"; 2]);
}

#[test]
fn tables_that_differ_are_an_error_or_left_out() {
    let here = open();
    let changeset = changeset_of(&here, "INSERT INTO t VALUES (1, 'a', 'b')");
    for (schema, expected) in [
        ("", ChangesetObstacle::NoSuchTable),
        ("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b AS (a))", ChangesetObstacle::PrimaryKey),
        ("CREATE TABLE t(id, a PRIMARY KEY, b)", ChangesetObstacle::PrimaryKey),
        ("CREATE TABLE t(id, a, b)", ChangesetObstacle::PrimaryKey),
    ] {
        let there = Connection::open_in_memory().unwrap();
        there.execute_batch(schema).unwrap();
        let error = there.apply_changeset(&changeset, |_| ConflictAction::Omit).unwrap_err();
        let ErrorKind::ChangesetTable { table, obstacle, .. } = error.kind() else { panic!("{error}") };
        assert_eq!(&**table, "t");
        if schema.contains("AS") {
            assert!(matches!(obstacle, ChangesetObstacle::Columns { table: 2, changeset: 3, .. }), "{obstacle:?}");
        } else {
            assert_eq!(*obstacle, expected, "{schema}");
        }
        // SQLite's own way, by request.
        let options = ApplyOptions::new().skip_unknown_tables(true);
        there.apply_changeset_with(&changeset, options, |_| ConflictAction::Abort).unwrap();
        // A filter that leaves the table out.
        let options = ApplyOptions::new().filter(|table| table != "t");
        there.apply_changeset_with(&changeset, options, |_| ConflictAction::Abort).unwrap();
        if !schema.is_empty() {
            assert_eq!(there.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0, "{schema}");
        }
    }
    // A table with more columns takes the changes.
    let there = Connection::open_in_memory().unwrap();
    there.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c DEFAULT 7)").unwrap();
    there.apply_changeset(&changeset, |_| ConflictAction::Abort).unwrap();
    assert_eq!(there.query_one::<i64>("SELECT c FROM t", ()).unwrap(), 7);
}

#[test]
fn options_change_what_is_done() {
    let (there, changeset) = diverged("");
    there.apply_changeset(&changeset, |_| ConflictAction::Abort).unwrap();
    // What is already there is no conflict.
    let applied = there
        .apply_changeset_with(&changeset, ApplyOptions::new().ignore_noops(true), |_| ConflictAction::Abort)
        .unwrap();
    assert_eq!(applied.conflicts(), 0);
    assert!(there.apply_changeset(&changeset, |_| ConflictAction::Abort).is_err());
    // Undone.
    there.apply_changeset_with(&changeset, ApplyOptions::new().inverted(true), |_| ConflictAction::Abort).unwrap();
    assert_eq!(rows(&there), [(1, text("old"), Value::Integer(0))]);
}

#[test]
fn actions_of_foreign_keys_are_left_out() {
    let schema = "CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE);
         INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1, 1)";
    let open = || {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(schema).unwrap();
        conn
    };
    let changeset = changeset_of(&open(), "DELETE FROM parent WHERE id = 1");
    let conflicts = |options: ApplyOptions<'_>| {
        let conn = open();
        let mut kinds = Vec::new();
        conn.apply_changeset_with(&changeset, options, |conflict| {
            kinds.push(conflict.kind());
            ConflictAction::Omit
        })
        .unwrap();
        kinds
    };
    assert_eq!(conflicts(ApplyOptions::new().without_foreign_key_actions(true)), []);
    // With them, the cascade deletes the child's row before its own change does, or after it.
    assert!(conflicts(ApplyOptions::new()).iter().all(|kind| *kind == ConflictKind::NotFound));
}

/// A reader of a few bytes at a time, which fails or panics behind the end.
struct Dripping<'a> {
    bytes: &'a [u8],
    end: Option<&'static str>,
    panics: bool,
}

impl Read for Dripping<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty()
            && let Some(end) = self.end
        {
            assert!(!self.panics, "{end}");
            return Err(io::Error::other(end));
        }
        let count = into.len().min(7).min(self.bytes.len());
        into[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        Ok(count)
    }
}

#[test]
fn a_stream_is_applied() {
    let (there, changeset) = diverged("");
    let reader = Dripping { bytes: changeset.as_bytes(), end: None, panics: false };
    there.apply_changeset_from(reader, ApplyOptions::new(), |_| ConflictAction::Abort).unwrap();
    assert_eq!(rows(&there).len(), 2);
}

#[test]
fn an_error_of_a_reader_takes_everything_back() {
    let (there, changeset) = diverged("");
    let half = &changeset.as_bytes()[..changeset.as_bytes().len() - 3];
    let reader = Dripping { bytes: half, end: Some("cut off"), panics: false };
    let error = there.apply_changeset_from(reader, ApplyOptions::new(), |_| ConflictAction::Abort).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::External(_)) && error.to_string() == "cut off", "{error}");
    assert_eq!(rows(&there), [(1, text("old"), Value::Integer(0))]);
    let reader = Dripping { bytes: half, end: Some("cut off"), panics: true };
    let panic = catch_unwind(AssertUnwindSafe(|| {
        there.apply_changeset_from(reader, ApplyOptions::new(), |_| ConflictAction::Abort)
    }));
    assert_eq!(*panic.unwrap_err().downcast::<String>().unwrap(), "cut off");
    assert_eq!(rows(&there), [(1, text("old"), Value::Integer(0))]);
    assert!(there.is_autocommit());
}
