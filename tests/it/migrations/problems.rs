//! What stops a migration, and what it leaves.

use super::*;

#[test]
fn a_statement_that_fails_leaves_the_version_before() {
    let conn = open();
    let script =
        "CREATE TABLE posts(id INTEGER PRIMARY KEY);\nINSERT INTO posts VALUES (1);\n  INSERT INTO posts VALUES (1);";
    let list = Migrations::new([USERS, EMAIL, Migration::from_file("sql/0003_posts.sql", script), ADA]);
    let error = list.migrate(&conn).unwrap_err();
    assert!(matches!(problem_of(&error), (3, "0003_posts", MigrationProblem::Failed(_))), "{error:?}");
    assert_eq!(
        error.to_string(),
        "migration 3 (0003_posts, sql/0003_posts.sql): UNIQUE constraint failed: posts.id \
         [SQLITE_CONSTRAINT_PRIMARYKEY], at line 3, column 3, in: INSERT INTO posts VALUES (1);"
    );
    assert_eq!(error.position().unwrap().to_string(), "line 3, column 3");
    assert_eq!(error.sql(), Some("INSERT INTO posts VALUES (1);"));
    assert_eq!(error.code(), Some(ResultCode::CONSTRAINT));
    assert!(error.is_constraint() && error.constraint().is_some());
    // Those before it stay, and nothing of it does.
    assert_eq!((version(&conn), recorded(&conn).len()), (2, 2));
    assert!(!conn.table_exists(None, "posts").unwrap() && conn.is_autocommit());
    assert!(conn.pragma::<bool>("foreign_keys").unwrap());
    // The same again, and then mended.
    assert_eq!(list.migrate(&conn).unwrap_err().to_string(), error.to_string());
    let mended = Migrations::new([USERS, EMAIL, Migration::new("posts", "CREATE TABLE posts(id)"), ADA]);
    assert_eq!(names(&mended.migrate(&conn).unwrap().steps), ["+3 posts", "+4 ada"]);
}

#[test]
fn a_script_down_that_fails_leaves_the_version_too() {
    let conn = open();
    let list = Migrations::new([
        USERS,
        Migration::new("posts", "CREATE TABLE posts(id)").down("DROP TABLE posts;\nDROP TABLE x"),
    ]);
    list.migrate(&conn).unwrap();
    let error = list.migrate_to(&conn, 0).unwrap_err();
    assert!(error.to_string().starts_with("migration 2 (posts): no such table: x, at line 2, column 1"), "{error}");
    assert_eq!((version(&conn), recorded(&conn).len()), (2, 2));
    assert!(conn.table_exists(None, "posts").unwrap());
}

#[test]
fn a_syntax_error_has_its_place() {
    let error = Migrations::new([USERS, Migration::new("broken", "-- A comment.\n\nCREATE TABEL t(a)")]).validate();
    let error = error.unwrap_err();
    assert_eq!(error.position().unwrap().to_string(), "line 3, column 8");
    assert_eq!(problem_of(&error).0, 2);
}

#[test]
fn a_newer_database_is_an_error() {
    let conn = open();
    ALL.migrate(&conn).unwrap();
    let older = Migrations::new([USERS, EMAIL]);
    let schema = conn.schema_snapshot().unwrap();
    for result in [
        older.migrate(&conn),
        older.migrate_to(&conn, 1),
        older.dry_run(&conn),
        older.pending(&conn).map(|_| unreachable!()),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NewerDatabase { version: 3, known: 2, .. }), "{error:?}");
        assert_eq!(error.to_string(), "the database is at version 3, and this program knows 2 migrations");
    }
    assert_eq!((version(&conn), conn.schema_snapshot().unwrap()), (3, schema));
    conn.set_pragma("user_version", -1).unwrap();
    let error = ALL.migrate(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NewerDatabase { version: -1, .. }), "{error:?}");
}

#[test]
fn a_script_that_has_changed_is_named() {
    let conn = open();
    ALL.migrate(&conn).unwrap();
    let changed = Migrations::new([USERS, Migration::new("email", "ALTER TABLE users ADD COLUMN email NUMERIC"), ADA]);
    for result in [changed.migrate(&conn), changed.dry_run(&conn), changed.migrate_to(&conn, 2)] {
        let error = result.unwrap_err();
        assert!(matches!(problem_of(&error), (2, "email", MigrationProblem::Changed { .. })), "{error:?}");
        assert!(
            error.to_string().starts_with("migration 2 (email): its script has changed since it was applied"),
            "{error}"
        );
    }
    // Other names and other line endings are no change.
    let users = USERS;
    let same = Migrations::new([
        Migration::new("renamed", "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL)\r\n"),
        EMAIL,
        ADA,
    ]);
    assert!(same.migrate(&conn).unwrap().steps.is_empty());
    assert_eq!(users, USERS);
}

#[test]
fn a_user_version_that_others_changed_is_an_error() {
    let conn = open();
    ALL.migrate(&conn).unwrap();
    // As a dump leaves it that does not have the `user_version`.
    conn.set_pragma("user_version", 0).unwrap();
    let error = ALL.migrate(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MigrationHistory { version: 0, recorded: 3, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "user_version is 0, but finalite_migrations records the migration 3: set it back to that"
    );
    conn.set_pragma("user_version", 3).unwrap();
    assert!(ALL.migrate(&conn).unwrap().steps.is_empty());
}

#[test]
fn a_script_does_not_end_its_transaction() {
    for (keyword, statement) in [
        ("BEGIN", "BEGIN IMMEDIATE"),
        ("COMMIT", " commit;"),
        ("END", "/* */ End transaction"),
        ("ROLLBACK", "ROLLBACK TRANSACTION"),
        ("ROLLBACK", "rollback"),
        ("COMMIT", ";;\u{feff}/* \u{e9} */COMMIT"),
        ("ROLLBACK", "ROLLBACK/* \u{e9} */TRANSACTION -- \u{e9}"),
    ] {
        let conn = open();
        let script = format!("CREATE TABLE t(a);\n{statement}");
        let list = Migrations::new([USERS, Migration::new("own", &script)]);
        let error = list.migrate(&conn).unwrap_err();
        let (2, "own", MigrationProblem::TransactionControl { keyword: found, line: 2, .. }) = problem_of(&error)
        else {
            panic!("{error:?}");
        };
        assert_eq!(*found, keyword);
        assert_eq!(error.position().unwrap().line, 2);
        assert_eq!(version(&conn), 1);
        assert!(!conn.table_exists(None, "t").unwrap(), "{statement}");
    }
    // Triggers have these words, and savepoints are the script's own.
    let script =
        "SAVEPOINT s; CREATE TABLE lost(a); ROLLBACK/* é */TRANSACTION/* é */TO s; ROLLBACK TO SAVEPOINT s; RELEASE s;
                  CREATE TABLE t(a); CREATE TRIGGER tr AFTER INSERT ON t BEGIN DELETE FROM t; END;";
    let conn = open();
    Migrations::new([Migration::new("own", script)]).migrate(&conn).unwrap();
    assert!(conn.table_exists(None, "t").unwrap() && !conn.table_exists(None, "lost").unwrap());
}

/// What the step did before it ended the transaction is stored, but not as a migration, and nothing runs after it.
#[test]
fn a_step_does_not_end_its_transaction() {
    fn commit(tx: &finalite::Transaction<'_>) -> finalite::Result<()> {
        tx.execute_batch("COMMIT")
    }
    fn roll_back_and_go_on(tx: &finalite::Transaction<'_>) -> finalite::Result<()> {
        tx.execute("INSERT OR ROLLBACK INTO unique_rows VALUES (1), (1)", ()).unwrap_err();
        Ok(())
    }
    for step in [commit, roll_back_and_go_on] {
        let conn = open();
        let own = Migration::new("own", "CREATE TABLE unique_rows(a UNIQUE)").step(step);
        let after = Migration::new("after", "CREATE TABLE after_it(a)");
        let error = Migrations::new([USERS, own, after]).migrate(&conn).unwrap_err();
        assert!(error.to_string().contains("transaction"), "{error}");
        assert_eq!((version(&conn), recorded(&conn).len()), (1, 1), "{error}");
        assert!(!conn.table_exists(None, "after_it").unwrap());
        assert!(conn.is_autocommit() && conn.pragma::<bool>("foreign_keys").unwrap());
    }
}

#[test]
fn a_script_that_sets_the_version_itself_does_not_count() {
    let conn = open();
    let own = Migration::new("own", "CREATE TABLE t(a); PRAGMA user_version = 40");
    Migrations::new([own, USERS]).migrate(&conn).unwrap();
    assert_eq!((version(&conn), recorded(&conn).len()), (2, 2));
}

#[test]
fn within_a_transaction_nothing_begins() {
    let mut conn = open();
    let tx = conn.transaction().unwrap();
    for error in [ALL.migrate(&tx).unwrap_err(), ALL.dry_run(&tx).unwrap_err()] {
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error:?}");
    }
    drop(tx);
    conn.execute_batch("BEGIN").unwrap();
    assert!(matches!(ALL.migrate(&conn).unwrap_err().kind(), ErrorKind::Misuse { .. }));
    conn.execute_batch("COMMIT").unwrap();
    assert!(conn.pragma::<bool>("foreign_keys").unwrap());
    ALL.migrate(&conn).unwrap();
}

#[test]
fn validate_sees_what_does_not_restore() {
    Migrations::new([USERS, EMAIL]).validate().unwrap();
    ALL.validate().unwrap();
    let list =
        Migrations::new([USERS, Migration::new("two", "CREATE TABLE a(x); CREATE TABLE b(x)").down("DROP TABLE a")]);
    let error = list.validate().unwrap_err();
    assert!(matches!(problem_of(&error), (2, "two", MigrationProblem::NotRestored)), "{error:?}");
}
