//! Switches of a connection: what they change, what is refused, and what a pool makes of them.

use finalite::pool::{DestroyReason, Pool, ReturnPolicy};
use finalite::{Connection, DbConfig, ErrorKind, OpenOptions, sqlite};

fn memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

/// Whether this SQLite has a switch.
fn has(switch: DbConfig) -> bool {
    let since_3_49 = [DbConfig::AttachCreate, DbConfig::AttachWrite, DbConfig::Comments];
    !since_3_49.contains(&switch) || sqlite::version_number() >= 3_049_000
}

#[test]
fn each_switch_is_read_set_and_put_back() {
    let conn = memory();
    for switch in DbConfig::ALL {
        let before = match conn.db_config(switch) {
            Ok(before) => before,
            Err(error) => {
                assert!(!has(switch) && matches!(error.kind(), ErrorKind::Unsupported { .. }), "{switch:?}: {error}");
                continue;
            }
        };
        assert!(has(switch), "{switch:?}");
        let others = |conn: &Connection| -> Vec<Option<bool>> {
            let others = DbConfig::ALL.into_iter().filter(|&other| other != switch);
            others.map(|other| conn.db_config(other).ok()).collect()
        };
        let unchanged = others(&conn);
        if switch == DbConfig::Fts3Tokenizer {
            let error = conn.set_db_config(switch, true).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
            assert!(!conn.set_db_config(switch, false).unwrap());
            continue;
        }
        assert_eq!(conn.set_db_config(switch, !before).unwrap(), before, "{switch:?}");
        assert_eq!(conn.db_config(switch).unwrap(), !before, "{switch:?}");
        assert_eq!(others(&conn), unchanged, "{switch:?}");
        assert_eq!(conn.set_db_config(switch, before).unwrap(), !before, "{switch:?}");
        assert_eq!(conn.db_config(switch).unwrap(), before, "{switch:?}");
    }
}

/// SQL that a switch lets through or refuses, and whether it is on where the SQL fails.
#[test]
fn each_switch_decides_what_runs() {
    for (switch, fails_if, sql) in [
        (DbConfig::ForeignKeys, true, "INSERT INTO child VALUES (7)"),
        (DbConfig::Triggers, true, "INSERT INTO guarded VALUES (1)"),
        (DbConfig::Views, false, "SELECT * FROM v"),
        (DbConfig::Defensive, true, "UPDATE sqlite_schema SET rootpage = rootpage"),
        (DbConfig::DoubleQuotedStringsInDml, false, "SELECT \"no column\""),
        (DbConfig::DoubleQuotedStringsInDdl, false, "CREATE INDEX i ON parent(\"no column\")"),
        (DbConfig::AttachCreate, false, "ATTACH 'FILE' AS x"),
        (DbConfig::Comments, false, "SELECT 1 -- one"),
    ] {
        for on in [true, false].into_iter().filter(|_| has(switch)) {
            let dir = tempfile::tempdir().unwrap();
            let conn = memory();
            conn.execute_batch(
                "CREATE TABLE parent(id INTEGER PRIMARY KEY); CREATE TABLE child(p REFERENCES parent(id));
                 CREATE TABLE guarded(a); CREATE VIEW v AS SELECT 1;
                 CREATE TRIGGER no BEFORE INSERT ON guarded BEGIN SELECT RAISE(ABORT, 'no'); END;",
            )
            .unwrap();
            if switch == DbConfig::Defensive {
                conn.set_db_config(DbConfig::WritableSchema, true).unwrap();
            }
            let sql = sql.replace("FILE", dir.path().join("new.db").to_str().unwrap());
            conn.set_db_config(switch, on).unwrap();
            assert_eq!(conn.execute(&sql, ()).is_err(), on == fails_if, "{switch:?} {on}: {sql}");
        }
    }
}

/// A statement of the cache was prepared with the old setting.
#[test]
fn prepared_statements_follow() {
    let conn = memory();
    let mut statement = conn.prepare("SELECT \"text\"").unwrap();
    assert_eq!(statement.query_one::<String>(()).unwrap(), "text");
    conn.set_db_config(DbConfig::DoubleQuotedStringsInDml, false).unwrap();
    assert!(statement.query_one::<String>(()).is_err());
    conn.set_db_config(DbConfig::DoubleQuotedStringsInDml, true).unwrap();
    assert_eq!(statement.query_one::<String>(()).unwrap(), "text");
}

#[test]
fn foreign_keys_are_switched_within_a_transaction() {
    let mut conn = memory();
    conn.execute_batch("CREATE TABLE parent(id INTEGER PRIMARY KEY); CREATE TABLE child(p REFERENCES parent(id))")
        .unwrap();
    let tx = conn.transaction().unwrap();
    assert!(tx.execute("INSERT INTO child VALUES (7)", ()).is_err());
    assert!(tx.set_db_config(DbConfig::ForeignKeys, false).unwrap());
    tx.execute("INSERT INTO child VALUES (7)", ()).unwrap();
    tx.commit().unwrap();
}

#[test]
fn options_of_opening_are_the_same_switches() {
    let conn = OpenOptions::recommended().foreign_keys(false).open_in_memory().unwrap();
    for switch in [
        DbConfig::ForeignKeys,
        DbConfig::DoubleQuotedStringsInDml,
        DbConfig::DoubleQuotedStringsInDdl,
        DbConfig::TrustedSchema,
    ] {
        assert!(!conn.db_config(switch).unwrap(), "{switch:?}");
    }
    assert!(memory().db_config(DbConfig::ForeignKeys).unwrap());
}

#[test]
fn a_database_is_reset() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut conn = OpenOptions::recommended().open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT 1").unwrap();
    drop(conn);
    let mut fresh = Connection::open(&path).unwrap();
    fresh.reset_database().unwrap();
    assert!(!fresh.exists("SELECT 1 FROM sqlite_schema", ()).unwrap());
    assert_eq!(fresh.pragma::<String>("journal_mode").unwrap(), "wal", "the journal mode stays");
    // VACUUM is as before.
    fresh.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1); VACUUM").unwrap();
    assert_eq!(fresh.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);

    // Within a transaction nothing happens, and VACUUM is as before, too.
    fresh.execute_batch("BEGIN; INSERT INTO t VALUES (2)").unwrap();
    assert!(fresh.reset_database().is_err());
    fresh.execute_batch("COMMIT; VACUUM").unwrap();
    assert_eq!(fresh.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 2);
    conn = memory();
    conn.reset_database().unwrap();
}

#[test]
fn a_damaged_database_is_reset() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100..4000].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let mut conn = Connection::open(&path).unwrap();
    assert!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).is_err());
    conn.reset_database().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
}

#[test]
fn a_pool_puts_switches_back() {
    let pool = Pool::in_memory("db_config: all").build().unwrap();
    let state = |conn: &Connection| DbConfig::ALL.map(|switch| conn.db_config(switch).ok());
    let new = state(&pool.writer().unwrap());
    for switch in DbConfig::ALL.into_iter().filter(|&switch| has(switch) && switch != DbConfig::Fts3Tokenizer) {
        let writer = pool.writer().unwrap();
        writer.set_db_config(switch, !writer.db_config(switch).unwrap()).unwrap();
        assert_ne!(state(&writer), new);
        drop(writer);
        assert_eq!(state(&pool.writer().unwrap()), new, "{switch:?}");
    }
    assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
    let pool = Pool::in_memory("db_config: a change").on_return(ReturnPolicy::Destroy).build().unwrap();
    let writer = pool.writer().unwrap();
    writer.set_db_config(DbConfig::Defensive, true).unwrap();
    writer.set_db_config(DbConfig::Defensive, false).unwrap();
    drop(writer);
    assert_eq!(pool.status().destroyed(DestroyReason::Changed), 0, "as it was");
    pool.writer().unwrap().set_db_config(DbConfig::Defensive, true).unwrap();
    assert_eq!(pool.status().destroyed(DestroyReason::Changed), 1);
}
