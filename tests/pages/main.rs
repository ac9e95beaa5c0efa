use finalite::scan::ScanPath;
use finalite::*;

#[test]
fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a REAL, b TEXT, c BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 20000)
         INSERT INTO t SELECT i, i * 0.5, 'text ' || i, randomblob(i % 100) FROM n;",
    )
    .unwrap();
    for sql in ["SELECT * FROM t", "SELECT c, id, a FROM t"] {
        let plan = conn.scan(sql, ()).plan().unwrap();
        println!("{plan}");
        let one = conn.scan(sql, ()).path(ScanPath::Statement).columns().unwrap();
        let two = conn.scan(sql, ()).path(ScanPath::Pages).columns().unwrap();
        let three = conn.scan(sql, ()).columns().unwrap();
        for row in 0..one.len() {
            for column in 0..one.columns().len() {
                assert_eq!(one.value(row, column), two.value(row, column), "{row} {column}");
                assert_eq!(one.value(row, column), three.value(row, column), "{row} {column}");
            }
        }
        assert_eq!(one.len(), 20000);
        assert_eq!(one.len(), two.len());
        assert_eq!(one.len(), three.len());
        assert_eq!(plan.path, ScanPath::Pages);
    }
}
