//! The state of a transaction, for each database.

use finalite::{Connection, ErrorKind, NameKind, TransactionBehavior, TransactionState};

use TransactionState::{None as Nothing, Read, Write};

fn state(conn: &Connection, database: impl Into<Option<&'static str>>) -> TransactionState {
    conn.transaction_state(database.into()).unwrap()
}

#[test]
fn a_transaction_reads_then_writes() {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); ATTACH ':memory:' AS \"a b\"; CREATE TABLE \"a b\".u(a)").unwrap();
    assert_eq!(state(&conn, None), Nothing);
    let tx = conn.transaction().unwrap();
    assert_eq!((state(&tx, None), state(&tx, "main"), state(&tx, "a b")), (Nothing, Nothing, Nothing));
    tx.query_all::<i64>("SELECT a FROM t", ()).unwrap();
    assert_eq!((state(&tx, None), state(&tx, "main"), state(&tx, "a b")), (Read, Read, Nothing));
    tx.execute("INSERT INTO u VALUES (1)", ()).unwrap();
    assert_eq!((state(&tx, None), state(&tx, "MAIN"), state(&tx, "a b")), (Write, Read, Write));
    assert_eq!(state(&tx, "temp"), Nothing);
    tx.rollback().unwrap();
    assert_eq!(state(&conn, None), Nothing);
    let tx = conn.transaction_with(TransactionBehavior::Immediate).unwrap();
    assert_eq!(state(&tx, "main"), Write);
}

#[test]
fn open_rows_hold_a_read_transaction() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    assert_eq!(state(&conn, None), Nothing, "not begun");
    rows.next().unwrap();
    assert!(conn.is_autocommit());
    assert_eq!(state(&conn, None), Read);
    drop(rows);
    assert_eq!(state(&conn, None), Nothing);
}

#[test]
fn an_unknown_name_is_an_error_that_lists_the_others() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("ATTACH ':memory:' AS other", ()).unwrap();
    for name in ["nowhere", "", "main\0", "oth"] {
        let error = conn.transaction_state(Some(name)).unwrap_err();
        let ErrorKind::NoSuch { what, name: given, known, .. } = error.kind() else { panic!("{error}") };
        assert_eq!((*what, &**given), (NameKind::Database, name));
        assert!(known.iter().any(|known| **known == *"other"), "{error}");
    }
    assert_eq!(
        conn.transaction_state(Some("nowhere")).unwrap_err().to_string(),
        "no such database: nowhere (there are main, temp, other)"
    );
}
