//! Maintenance: `optimize`, checks of the file and of foreign keys.

use finalite::{
    CheckScope, Connection, DbConfig, ForeignKeyViolation, IntegrityProblem, OpenOptions, Result, ResultCode,
};

fn problems(found: finalite::IntegrityProblems<'_>) -> Vec<String> {
    found.map(|problem| problem.unwrap().message).collect()
}

/// A database whose two tables contain NULLs that their declaration now excludes.
fn damaged() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a, b); INSERT INTO t VALUES (NULL, 1), (NULL, 2), (NULL, 3);
         CREATE TABLE \"o'dd\"(a); INSERT INTO \"o'dd\" VALUES (NULL);
         CREATE TABLE fine(a); CREATE INDEX i ON t(b);",
    )
    .unwrap();
    conn.set_db_config(DbConfig::WritableSchema, true).unwrap();
    conn.execute("UPDATE sqlite_schema SET sql = replace(sql, '(a', '(a NOT NULL') WHERE type = 'table'", ()).unwrap();
    conn.execute("PRAGMA schema_version = 100", ()).unwrap();
    conn.set_db_config(DbConfig::WritableSchema, false).unwrap();
    conn
}

#[test]
fn a_sound_database_has_no_problems() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    for scope in [CheckScope::All, CheckScope::First(1), CheckScope::Table("t")] {
        assert!(conn.integrity_check(scope).unwrap().next().is_none(), "{scope:?}");
        assert!(conn.quick_check(scope).unwrap().next().is_none(), "{scope:?}");
    }
}

#[test]
fn problems_are_found_in_their_scope() {
    let conn = damaged();
    let in_t = "NULL value in t.a";
    let all = problems(conn.integrity_check(CheckScope::All).unwrap());
    assert_eq!(all.len(), 4, "{all:?}");
    assert_eq!(problems(conn.quick_check(CheckScope::All).unwrap()), all);
    for (most, expected) in [(0, 1), (1, 1), (2, 2), (u32::MAX, 4)] {
        assert_eq!(problems(conn.integrity_check(CheckScope::First(most)).unwrap()).len(), expected, "{most}");
    }
    assert_eq!(problems(conn.integrity_check(CheckScope::Table("t")).unwrap()), [in_t; 3]);
    assert_eq!(problems(conn.quick_check(CheckScope::Table("o'dd")).unwrap()), ["NULL value in o'dd.a"]);
    assert!(problems(conn.integrity_check(CheckScope::Table("fine")).unwrap()).is_empty());
    let error = conn.integrity_check(CheckScope::Table("nowhere")).unwrap_err();
    assert!(error.to_string().starts_with("no such table: nowhere"), "{error}");
    let first: Result<IntegrityProblem> = conn.integrity_check(CheckScope::All).unwrap().next().unwrap();
    assert_eq!(first.unwrap().to_string().split(' ').next(), Some("NULL"));
}

/// An index that lacks a row is a problem that the quick check does not look for.
#[test]
fn the_quick_check_leaves_indexes_out() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a, b); CREATE INDEX i ON t(a); INSERT INTO t VALUES (1, 2)").unwrap();
    conn.set_db_config(DbConfig::WritableSchema, true).unwrap();
    conn.execute("UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON t(b)' WHERE name = 'i'", ()).unwrap();
    conn.execute("PRAGMA schema_version = 100", ()).unwrap();
    assert!(problems(conn.quick_check(CheckScope::All).unwrap()).is_empty());
    let found = problems(conn.integrity_check(CheckScope::All).unwrap());
    assert!(found.iter().any(|problem| problem.contains("missing from index i")), "{found:?}");
}

#[test]
fn a_file_that_is_no_database_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("text");
    std::fs::write(&path, "no database, but long enough to have a header".repeat(40)).unwrap();
    let conn = Connection::open(&path).unwrap();
    let error = conn.integrity_check(CheckScope::All).map(|mut problems| problems.next()).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::NOTADB));
}

#[test]
fn violations_of_foreign_keys_are_listed() {
    let conn = OpenOptions::new().foreign_keys(false).open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE author(id INTEGER PRIMARY KEY); INSERT INTO author VALUES (1);
         CREATE TABLE book(id INTEGER PRIMARY KEY, author REFERENCES author(id), editor REFERENCES author(id));
         CREATE TABLE \"no'te\"(k PRIMARY KEY, book REFERENCES book(id)) WITHOUT ROWID;
         INSERT INTO book VALUES (10, 1, 1), (11, 7, 1), (12, NULL, 8);
         INSERT INTO \"no'te\" VALUES ('a', 10), ('b', 99);",
    )
    .unwrap();
    let of = |table: Option<&str>| -> Vec<(String, Option<i64>, String, u32)> {
        let found = conn.foreign_key_check(table).unwrap().map(Result::unwrap);
        let tuple = |it: ForeignKeyViolation| (it.table, it.rowid, it.parent, it.key_index);
        let mut found: Vec<_> = found.map(tuple).collect();
        found.sort();
        found
    };
    let books = [("book".into(), Some(11), "author".into(), 1), ("book".into(), Some(12), "author".into(), 0)];
    assert_eq!(of(Some("book")), books);
    assert_eq!(of(Some("no'te")), [("no'te".into(), None, "book".into(), 0)]);
    assert_eq!(of(None).len(), 3);
    assert!(of(Some("author")).is_empty());
    // The number is that of the list of foreign keys.
    let column: String =
        conn.query_one("SELECT \"from\" FROM pragma_foreign_key_list('book') WHERE id = 1", ()).unwrap();
    assert_eq!(column, "author");
    assert!(conn.foreign_key_check(Some("nowhere")).is_err());
    conn.execute("CREATE TABLE bad(a REFERENCES book(author)); ", ()).unwrap();
    conn.execute("INSERT INTO bad VALUES (1)", ()).unwrap();
    let result = conn.foreign_key_check(Some("bad")).and_then(|found| found.collect::<Result<Vec<_>>>());
    assert!(result.unwrap_err().to_string().contains("foreign key mismatch"));
    assert_eq!(of(Some("author")).len(), 0);
}

#[test]
fn optimize_analyzes_where_it_is_useful() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a, b); CREATE INDEX i ON t(a);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) INSERT INTO t SELECT i, i FROM n;",
    )
    .unwrap();
    conn.query_all::<i64>("SELECT b FROM t WHERE a = 7", ()).unwrap();
    conn.optimize().unwrap();
    assert!(conn.exists("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'", ()).unwrap());
    conn.set_pragma("query_only", 1).unwrap();
    conn.optimize().unwrap();
}

#[test]
fn changed_pages_are_written_before_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flushed.db");
    let mut conn = OpenOptions::new().busy_timeout(std::time::Duration::ZERO).open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let bytes = || std::fs::metadata(&path).unwrap().len();
    let before = bytes();
    conn.flush_cache().unwrap();
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (zeroblob(500000))", ()).unwrap();
    assert_eq!(bytes(), before);
    // The file is not written while somebody reads it.
    let other = Connection::open(&path).unwrap();
    let mut statement = other.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    assert_eq!(tx.flush_cache().unwrap_err().code(), Some(ResultCode::BUSY));
    drop(rows);
    drop(statement);
    tx.flush_cache().unwrap();
    assert!(bytes() > before + 400_000);
    tx.rollback().unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
    assert_eq!(problems(conn.integrity_check(CheckScope::All).unwrap()), [""; 0]);
}

#[test]
fn keywords_are_those_of_sqlite() {
    use finalite::sqlite;
    let keywords: Vec<&str> = sqlite::keywords().collect();
    assert!(keywords.len() > 140, "{}", keywords.len());
    let conn = Connection::open_in_memory().unwrap();
    for keyword in &keywords {
        assert!(sqlite::is_keyword(keyword) && sqlite::is_keyword(&keyword.to_lowercase()));
        let sql = format!("SELECT 1 AS {}", finalite::sql::quote_identifier(keyword));
        assert_eq!(conn.prepare(&sql).unwrap().column_names().unwrap().next(), Some(*keyword));
    }
    for word in ["", "selected", "sel", "SELECT ", "größe", "\0", "SELECT\0"] {
        assert!(!sqlite::is_keyword(word), "{word:?}");
    }
}
