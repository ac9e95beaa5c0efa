use finalite::{Connection, memory};

#[test]
fn a_connection_finds_itself_in_the_tables() {
    let mut conn = Connection::open_in_memory().unwrap();
    let opened_at = format!("{}:{}", file!(), line!() - 1);
    conn.create_diagnostic_tables().unwrap();
    let _statement = conn.prepare("SELECT 'a statement of this test'").unwrap();
    let (id, site, bytes, blocks): (i64, String, u64, u64) = conn
        .query_one(
            "SELECT connection, opened_at, bytes, blocks FROM finalite_memory WHERE opened_at LIKE ? || ':%'",
            (&opened_at,),
        )
        .unwrap();
    assert!(site.starts_with(&opened_at));
    let memory = conn.memory();
    assert!(bytes > 20_000 && bytes <= memory.peak_bytes, "{bytes} of {memory:?}");
    assert!(blocks > 50);
    let found: Vec<(String, i64, Option<i64>)> = conn
        .query_all(
            "SELECT kind, handles, running_ms FROM finalite_handles
             WHERE parent = ? AND sql = 'SELECT ''a statement of this test'''",
            (id,),
        )
        .unwrap();
    assert_eq!(found, [("statement".to_owned(), 1, None)]);
    // The query itself is running.
    let running: i64 = conn
        .query_one(
            "SELECT count(running_ms) FROM finalite_handles WHERE parent = ? AND kind = 'cached_statement'",
            (id,),
        )
        .unwrap();
    assert_eq!(running, 1);
}

#[test]
fn the_tables_can_be_joined_sorted_and_read_twice() {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.create_diagnostic_tables().unwrap();
    for _ in 0..2 {
        let sum: u64 = conn
            .query_one(
                "SELECT sum(bytes) FROM (SELECT bytes FROM finalite_memory WHERE scope <> 'process' ORDER BY 1)",
                (),
            )
            .unwrap();
        assert!(sum > 0);
        let pairs: i64 = conn
            .query_one(
                "SELECT count(*) FROM finalite_memory a JOIN finalite_memory b USING (scope) WHERE scope = 'process'",
                (),
            )
            .unwrap();
        assert_eq!(pairs, 1);
    }
    conn.close().unwrap();
}

#[test]
fn a_view_cannot_use_them() {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.create_diagnostic_tables().unwrap();
    conn.execute("CREATE VIEW v AS SELECT * FROM finalite_memory", ()).unwrap();
    let error = conn.query_one::<i64>("SELECT count(*) FROM v", ()).unwrap_err();
    assert!(error.to_string().contains("unsafe use"), "{error}");
    assert!(conn.execute("INSERT INTO finalite_handles(kind) VALUES ('x')", ()).is_err());
    assert!(conn.execute("CREATE VIRTUAL TABLE t USING finalite_memory", ()).is_err());
}

#[test]
fn they_are_not_there_unless_asked_for() {
    let conn = Connection::open_in_memory().unwrap();
    assert!(conn.prepare("SELECT * FROM finalite_memory").is_err());
}

#[test]
fn memory_is_given_back_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(300000));").unwrap();
    let before = conn.memory();
    assert!(before.page_cache_bytes > 300_000);
    let released = conn.release_memory().unwrap();
    let after = conn.memory();
    assert_eq!(before.page_cache_bytes - after.page_cache_bytes, released);
    assert!(after.bytes < before.bytes && before.peak_bytes == after.peak_bytes);
    assert_eq!(conn.query_one::<i64>("SELECT length(a) FROM t", ()).unwrap(), 300_000);
}

#[test]
fn a_statement_tells_what_it_holds() {
    let conn = Connection::open_in_memory().unwrap();
    let small = conn.prepare("SELECT 1").unwrap();
    let large = conn.prepare(&format!("SELECT {}1", "1 + ".repeat(200))).unwrap();
    assert!(small.memory().bytes > 0);
    assert!(large.memory().bytes > small.memory().bytes);
    assert!(conn.memory().statement_bytes >= large.memory().bytes + small.memory().bytes);
    assert_eq!(memory::mode(), memory::Mode::Counting);
}
