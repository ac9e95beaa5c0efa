//! Sessions: what they record, in which form, and what ends them.

use std::cell::RefCell;
use std::io::{self, Write};
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use finalite::data::{Access, Changes, Changeset, ConflictAction, Session};
use finalite::extend::Operation;
use finalite::{Connection, ErrorKind, ResultCode, Value, ValueRef, handles};

mod apply;
mod combine;
mod malformed;

/// A connection with `t(id, a, b)`.
fn open() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)", ()).unwrap();
    conn
}

/// A session that records all tables.
fn record(conn: &Connection) -> Session<'_> {
    let mut session = conn.session().unwrap();
    session.attach_all().unwrap();
    session
}

/// The changeset of a script.
fn changeset_of(conn: &Connection, script: &str) -> Changeset {
    let session = record(conn);
    conn.execute_batch(script).unwrap();
    session.changeset().unwrap()
}

fn value(value: Option<ValueRef<'_>>) -> String {
    value.map_or_else(|| "_".into(), |value| value.to_value().unwrap().to_string())
}

/// Each change as a line: table, sign, old and new values.
fn lines(mut changes: Changes<'_>) -> finalite::Result<Vec<String>> {
    let mut lines = Vec::new();
    while let Some(change) = changes.next()? {
        let columns = 0..change.column_count();
        let old: Vec<String> = columns.clone().map(|column| value(change.old_value(column).unwrap())).collect();
        let new: Vec<String> = columns.map(|column| value(change.new_value(column).unwrap())).collect();
        let sign = match change.operation() {
            Operation::Insert => "+",
            Operation::Delete => "-",
            _ => "=",
        };
        let indirect = if change.is_indirect() { " indirect" } else { "" };
        lines.push(format!("{} {sign} {} -> {}{indirect}", change.table(), old.join(","), new.join(",")));
    }
    lines.sort();
    Ok(lines)
}

fn lines_of(changeset: &Changeset) -> Vec<String> {
    lines(changeset.changes().unwrap()).unwrap()
}

/// The rows of `t`.
fn rows(conn: &Connection) -> Vec<(i64, Value, Value)> {
    conn.query_all("SELECT id, a, b FROM t ORDER BY id", ()).unwrap()
}

#[test]
fn changes_are_recorded_with_the_values_before_and_after() {
    let conn = open();
    conn.execute("INSERT INTO t VALUES (1, 'one', NULL), (2, 'two', 2.5)", ()).unwrap();
    let changeset = changeset_of(
        &conn,
        "INSERT INTO t VALUES (3, x'0102', 'text'); UPDATE t SET a = 'uno' WHERE id = 1; DELETE FROM t WHERE id = 2",
    );
    assert_eq!(
        lines_of(&changeset),
        ["t + _,_,_ -> 3,X'0102',text", "t - 2,two,2.5 -> _,_,_", "t = 1,one,_ -> _,uno,_"]
    );
    let mut changes = changeset.changes().unwrap();
    let change = changes.next().unwrap().unwrap();
    assert_eq!(change.primary_key().unwrap().collect::<Vec<_>>(), [0]);
    let error = change.old_value(3).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
}

#[test]
fn only_the_state_at_the_end_counts() {
    let conn = open();
    let changeset = changeset_of(
        &conn,
        "INSERT INTO t VALUES (1, 'a', 'b'); UPDATE t SET a = 'z'; INSERT INTO t VALUES (2, 0, 0); DELETE FROM t WHERE id = 2;
         BEGIN; INSERT INTO t VALUES (3, 0, 0); ROLLBACK",
    );
    assert_eq!(lines_of(&changeset), ["t + _,_,_ -> 1,z,b"]);
}

#[test]
fn a_patchset_has_new_values_and_keys() {
    let conn = open();
    conn.execute("INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2)", ()).unwrap();
    let session = record(&conn);
    conn.execute_batch("UPDATE t SET b = 9 WHERE id = 1; DELETE FROM t WHERE id = 2").unwrap();
    let patchset = session.patchset().unwrap();
    assert_eq!(lines_of(&patchset), ["t - 2,_,_ -> _,_,_", "t = 1,_,_ -> _,_,9"]);
    assert!(patchset.as_bytes().len() < session.changeset().unwrap().as_bytes().len());
    assert!(matches!(patchset.invert().unwrap_err().kind(), ErrorKind::MalformedChangeset));
}

#[test]
fn a_stream_has_the_same_bytes() {
    let conn = open();
    let session = record(&conn);
    for n in 0..500 {
        conn.execute("INSERT INTO t VALUES (?, ?, zeroblob(100))", (n, format!("row {n}"))).unwrap();
    }
    let (mut changeset, mut patchset) = (Vec::new(), Vec::new());
    session.write_changeset(&mut changeset).unwrap();
    session.write_patchset(&mut patchset).unwrap();
    assert_eq!(changeset, session.changeset().unwrap().as_bytes());
    assert_eq!(patchset, session.patchset().unwrap().into_bytes());
    let mut reader = &*changeset;
    assert_eq!(lines(Changes::from_reader(&mut reader).unwrap()).unwrap().len(), 500);
}

/// A writer or reader that fails, or panics, after this many bytes.
struct Limited {
    left: usize,
    panics: bool,
}

impl Limited {
    fn take(&mut self, bytes: usize) -> io::Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            assert!(!self.panics, "enough");
            io::Error::other("enough")
        })?;
        Ok(())
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes.len())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_error_of_a_writer_is_returned() {
    let conn = open();
    let session = record(&conn);
    for n in 0..100 {
        conn.execute("INSERT INTO t VALUES (?, zeroblob(100), 0)", (n,)).unwrap();
    }
    let error = session.write_changeset(Limited { left: 2_000, panics: false }).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::External(_)) && error.to_string() == "enough", "{error}");
    let panic = catch_unwind(AssertUnwindSafe(|| session.write_patchset(Limited { left: 2_000, panics: true })));
    assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "enough");
    // Both leave the session as it was.
    session.write_changeset(Limited { left: 1 << 20, panics: true }).unwrap();
    assert_eq!(lines_of(&session.changeset().unwrap()).len(), 100);
}

#[test]
fn a_writer_cannot_use_the_connection() {
    struct Reentrant<'a>(&'a Connection, Vec<String>);
    impl Write for Reentrant<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let error = self.0.execute("DELETE FROM t", ()).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
            self.1.push(error.to_string());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let conn = open();
    let session = record(&conn);
    conn.execute("INSERT INTO t VALUES (1, 2, 3)", ()).unwrap();
    let mut writer = Reentrant(&conn, Vec::new());
    session.write_changeset(&mut writer).unwrap();
    assert!(!writer.1.is_empty());
}

#[test]
fn a_table_is_recorded_from_when_it_is_attached() {
    let conn = open();
    conn.execute("CREATE TABLE other(id INTEGER PRIMARY KEY)", ()).unwrap();
    let mut session = conn.session().unwrap();
    conn.execute("INSERT INTO t VALUES (1, 0, 0)", ()).unwrap();
    session.attach("t").unwrap();
    session.attach("later").unwrap();
    assert!(session.is_empty());
    conn.execute_batch(
        "INSERT INTO t VALUES (2, 0, 0); INSERT INTO other VALUES (1);
         CREATE TABLE later(id INTEGER PRIMARY KEY); INSERT INTO later VALUES (7)",
    )
    .unwrap();
    assert!(!session.is_empty());
    assert_eq!(lines_of(&session.changeset().unwrap()), ["later + _ -> 7", "t + _,_,_ -> 2,0,0"]);
}

#[test]
fn a_table_without_a_primary_key_is_refused_or_recorded_by_rowid() {
    let conn = open();
    conn.execute("CREATE TABLE plain(a)", ()).unwrap();
    let mut session = conn.session().unwrap();
    let error = session.attach("plain").unwrap_err();
    assert!(error.to_string().contains("primary key"), "{error}");
    session.include_rowid_tables().unwrap();
    session.attach("plain").unwrap();
    conn.execute("INSERT INTO plain(rowid, a) VALUES (7, 'x')", ()).unwrap();
    let changeset = session.changeset().unwrap();
    assert_eq!(lines_of(&changeset), ["plain + _,_ -> 7,x"]);
    assert_eq!(changeset.to_sql(&conn).unwrap(), "INSERT INTO \"plain\"(_rowid_, \"a\") VALUES (7, 'x');\n");
    // It is too late once a table is attached.
    let mut session = conn.session().unwrap();
    session.attach("t").unwrap();
    assert_eq!(session.include_rowid_tables().unwrap_err().code(), Some(ResultCode::MISUSE));
}

#[test]
fn a_filter_chooses_tables() {
    let conn = open();
    conn.execute("CREATE TABLE other(id INTEGER PRIMARY KEY)", ()).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut session = record(&conn);
    session.set_table_filter(|_| panic!("it was replaced")).unwrap();
    session
        .set_table_filter({
            let seen = Arc::clone(&seen);
            move |table| {
                seen.lock().unwrap().push(table.to_owned());
                table != "t"
            }
        })
        .unwrap();
    conn.execute_batch("INSERT INTO t VALUES (1, 0, 0); INSERT INTO other VALUES (1); INSERT INTO other VALUES (2)")
        .unwrap();
    assert_eq!(lines_of(&session.changeset().unwrap()), ["other + _ -> 1", "other + _ -> 2"]);
    assert!(seen.lock().unwrap().contains(&"t".to_owned()));
    drop(session);
    assert_eq!(Arc::strong_count(&seen), 1);
}

/// C is going through the sessions of the connection then, and is calling the filter of one.
#[test]
fn a_session_that_is_dropped_in_a_callback_stays_until_close() {
    thread_local! {
        static SESSION: RefCell<Option<Session<'static>>> = const { RefCell::new(None) };
    }
    for in_hook in [false, true] {
        // Closed below, by its address.
        let conn: *mut Connection = Box::into_raw(Box::new(open()));
        // SAFETY: the connection is freed at the end, after the last use of this reference.
        let leaked: &'static Connection = unsafe { &*conn };
        let mut session = record(leaked);
        let subscription = if in_hook {
            let drop_it = |_: &finalite::extend::Update<'_>| SESSION.with_borrow_mut(|session| drop(session.take()));
            Some(leaked.on_update(drop_it).unwrap())
        } else {
            session
                .set_table_filter(|_| {
                    SESSION.with_borrow_mut(|session| drop(session.take()));
                    true
                })
                .unwrap();
            None
        };
        SESSION.set(Some(session));
        leaked.execute("CREATE TABLE u(id INTEGER PRIMARY KEY)", ()).unwrap();
        let other = record(leaked);
        leaked.execute("INSERT INTO t VALUES (1, 2, 3)", ()).unwrap();
        leaked.execute("INSERT INTO u VALUES (1)", ()).unwrap();
        assert!(SESSION.with_borrow(Option::is_none));
        assert_eq!(lines_of(&other.changeset().unwrap()), ["t + _,_,_ -> 1,2,3", "u + _ -> 1"]);
        drop((other, subscription));
        let before = handles::forgotten().sessions;
        // SAFETY: made by `Box::into_raw`, and nothing borrows the connection any more.
        unsafe { Box::from_raw(conn) }.close().unwrap();
        assert!(handles::forgotten().sessions > before);
    }
}

#[test]
fn a_filter_that_panics_leaves_the_statement_whole() {
    let conn = open();
    let mut session = record(&conn);
    session.set_table_filter(|_| panic!("no filter")).unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| conn.execute("INSERT INTO t VALUES (1, 0, 0)", ())));
    assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "no filter");
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
    assert!(session.is_empty());
}

#[test]
fn recording_is_switched_off_and_on() {
    let conn = open();
    let mut session = record(&conn);
    assert!(session.is_enabled().unwrap() && !session.is_indirect().unwrap());
    session.set_enabled(false).unwrap();
    conn.execute("INSERT INTO t VALUES (1, 0, 0)", ()).unwrap();
    assert!(session.is_empty() && !session.is_enabled().unwrap());
    session.set_enabled(true).unwrap();
    session.set_indirect(true).unwrap();
    conn.execute("INSERT INTO t VALUES (2, 0, 0)", ()).unwrap();
    assert_eq!(lines_of(&session.changeset().unwrap()), ["t + _,_,_ -> 2,0,0 indirect"]);
}

#[test]
fn changes_of_triggers_are_indirect() {
    let conn = open();
    conn.execute_batch(
        "CREATE TABLE log(id INTEGER PRIMARY KEY);
         CREATE TRIGGER x AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END",
    )
    .unwrap();
    let changeset = changeset_of(&conn, "INSERT INTO t VALUES (1, 0, 0)");
    assert_eq!(lines_of(&changeset), ["log + _ -> 1 indirect", "t + _,_,_ -> 1,0,0"]);
}

#[test]
fn each_database_has_sessions_of_its_own() {
    let conn = open();
    conn.execute_batch("ATTACH ':memory:' AS other; CREATE TABLE other.t(id INTEGER PRIMARY KEY)").unwrap();
    let main = record(&conn);
    let mut other = conn.session_of("other").unwrap();
    other.attach_all().unwrap();
    conn.execute_batch("INSERT INTO main.t VALUES (1, 0, 0); INSERT INTO other.t VALUES (2)").unwrap();
    assert_eq!(lines_of(&main.changeset().unwrap()), ["t + _,_,_ -> 1,0,0"]);
    assert_eq!(lines_of(&other.changeset().unwrap()), ["t + _ -> 2"]);
    let error = conn.session_of("third").unwrap_err();
    assert!(error.to_string().contains("no database of this name"), "{error}");
}

#[test]
fn a_difference_makes_one_table_the_other() {
    let conn = open();
    conn.execute_batch(
        "ATTACH ':memory:' AS old; CREATE TABLE old.t(id INTEGER PRIMARY KEY, a, b); CREATE TABLE old.u(x PRIMARY KEY);
         CREATE TABLE main.u(y PRIMARY KEY);
         INSERT INTO main.t VALUES (1, 'new', 0), (2, 'same', 0); INSERT INTO old.t VALUES (2, 'same', 0), (3, 'gone', 0)",
    )
    .unwrap();
    let mut session = conn.session().unwrap();
    session.diff("old", "t").unwrap();
    assert_eq!(lines_of(&session.changeset().unwrap()), ["t + _,_,_ -> 1,new,0", "t - 3,gone,0 -> _,_,_"]);
    let error = session.diff("old", "u").unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::SCHEMA), "{error}");
    assert!(session.diff("old", "none").is_err());
    assert!(session.diff("nowhere", "t").is_err());
}

#[test]
fn the_size_is_known_before() {
    let conn = open();
    let mut session = conn.session().unwrap();
    session.compute_size().unwrap();
    session.attach_all().unwrap();
    assert_eq!(session.size_max(), 0);
    conn.execute("INSERT INTO t VALUES (1, zeroblob(1000), 0)", ()).unwrap();
    let len = session.changeset().unwrap().as_bytes().len() as u64;
    assert!(session.size_max() >= len && len > 1_000, "{} {len}", session.size_max());
    assert!(session.memory_used() > 0);
}

#[test]
fn a_session_and_a_pre_update_closure_exclude_each_other() {
    let conn = open();
    let subscription = conn.on_preupdate(|_| ()).unwrap();
    let error = conn.session().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    drop(subscription);
    let session = record(&conn);
    let error = conn.on_preupdate(|_| ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    conn.execute("INSERT INTO t VALUES (1, 0, 0)", ()).unwrap();
    assert!(!session.is_empty());
    drop(session);
    drop(conn.on_preupdate(|_| ()).unwrap());
}

#[test]
fn a_forgotten_session_ends_with_its_connection() {
    let conn = open();
    let before = handles::forgotten().sessions;
    let shared = Arc::new(());
    let mut session = record(&conn);
    session
        .set_table_filter({
            let shared = Arc::clone(&shared);
            move |_| Arc::strong_count(&shared) > 0
        })
        .unwrap();
    forget(session);
    conn.execute("INSERT INTO t VALUES (1, 0, 0)", ()).unwrap();
    conn.close().unwrap();
    assert!(handles::forgotten().sessions > before);
    assert_eq!(Arc::strong_count(&shared), 1);
}

#[test]
fn a_blob_write_is_in_the_changeset() {
    let conn = open();
    conn.execute("INSERT INTO t VALUES (1, x'00000000', 0)", ()).unwrap();
    let session = record(&conn);
    let mut blob = conn.blob(("t", "a", 1), Access::ReadWrite).unwrap();
    blob.write_all(&[1, 2, 3, 4]).unwrap();
    blob.close().unwrap();
    assert_eq!(lines_of(&session.changeset().unwrap()), ["t = 1,X'00000000',_ -> _,X'01020304',_"]);
}

#[test]
fn what_a_changeset_is_to_rust() {
    let conn = open();
    let changeset = changeset_of(&conn, "INSERT INTO t VALUES (1, 'secret', 0)");
    let copy = changeset.clone();
    assert_eq!(copy, changeset);
    assert_eq!(Changeset::from(changeset.as_bytes()), changeset);
    assert!(!format!("{changeset:?} {:?}", changeset.changes().unwrap()).contains("secret"));
    let mut changes = changeset.changes().unwrap();
    let change = changes.next().unwrap().unwrap();
    assert!(!format!("{change:?}").contains("secret"));
    assert!(Changeset::from(Vec::new()).is_empty());
    // It outlives its connection, and goes to other threads.
    conn.close().unwrap();
    std::thread::spawn(move || assert_eq!(lines_of(&copy), ["t + _,_,_ -> 1,secret,0"])).join().unwrap();
}

#[test]
fn a_utf_16_database_has_sessions() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(id TEXT PRIMARY KEY, a, b)").unwrap();
    let changeset = changeset_of(&conn, "INSERT INTO t VALUES ('grüße', 'ß', 1)");
    assert_eq!(lines_of(&changeset), ["t + _,_,_ -> grüße,ß,1"]);
    let other = Connection::open_in_memory().unwrap();
    other.execute_batch("CREATE TABLE t(id TEXT PRIMARY KEY, a, b)").unwrap();
    other.apply_changeset(&changeset, |_| ConflictAction::Abort).unwrap();
    assert_eq!(other.query_one::<String>("SELECT a FROM t WHERE id = 'grüße'", ()).unwrap(), "ß");
}
