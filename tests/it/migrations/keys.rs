//! Foreign keys during migrations.

use super::*;

const TABLES: &str = "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE posts(id INTEGER PRIMARY KEY, author INTEGER REFERENCES users ON DELETE CASCADE);
    INSERT INTO users VALUES (1, 'Ada'); INSERT INTO posts VALUES (10, 1), (11, 1)";

/// SQLite's procedure for a change that `ALTER TABLE` does not make.
const REBUILD: &str = "CREATE TABLE new_users(id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    INSERT INTO new_users SELECT * FROM users;
    DROP TABLE users;
    ALTER TABLE new_users RENAME TO users";

fn posts(conn: &Connection) -> i64 {
    conn.query_one("SELECT count(*) FROM posts", ()).unwrap()
}

#[test]
fn a_table_is_rebuilt_and_the_rows_that_refer_to_it_stay() {
    let list = Migrations::new([Migration::new("tables", TABLES), Migration::new("not null", REBUILD)]);
    let conn = open();
    list.migrate(&conn).unwrap();
    assert_eq!(posts(&conn), 2);
    assert!(conn.pragma::<bool>("foreign_keys").unwrap(), "they are on again");
    // The control: with foreign keys, the same script deletes them.
    let conn = open();
    conn.execute_batch(&format!("{TABLES}; BEGIN; {REBUILD}; COMMIT")).unwrap();
    assert_eq!(posts(&conn), 0);
}

#[test]
fn a_violation_that_a_migration_adds_is_an_error() {
    let conn = open();
    let breaks = Migration::new("breaks", "DELETE FROM users; CREATE TABLE after(a)");
    let list = Migrations::new([Migration::new("tables", TABLES), breaks]);
    for result in [list.dry_run(&conn), list.migrate(&conn), list.migrate(&conn)] {
        let error = result.unwrap_err();
        let (2, "breaks", MigrationProblem::ForeignKeys { violations: 2, table, parent, .. }) = problem_of(&error)
        else {
            panic!("{error:?}");
        };
        assert_eq!((&**table, &**parent), ("posts", "users"));
        assert_eq!(
            error.to_string(),
            "migration 2 (breaks): after it, 2 rows of posts or others lack the row of users that they refer to"
        );
    }
    assert_eq!((version(&conn), posts(&conn)), (1, 2));
    assert!(!conn.table_exists(None, "after").unwrap());
}

#[test]
fn violations_that_were_there_before_stop_nothing() {
    let conn = open();
    let tables = Migration::new("tables", TABLES);
    Migrations::new([tables]).migrate(&conn).unwrap();
    conn.set_pragma("foreign_keys", false).unwrap();
    conn.execute_batch("INSERT INTO posts VALUES (12, 99)").unwrap();
    conn.set_pragma("foreign_keys", true).unwrap();
    let rebuild = Migration::new("not null", REBUILD);
    Migrations::new([tables, rebuild]).migrate(&conn).unwrap();
    assert_eq!(posts(&conn), 3);
    // One more of the same row's kind is seen.
    let breaks = Migration::new("breaks", "INSERT INTO posts VALUES (13, 99)");
    let error = Migrations::new([tables, rebuild, breaks]).migrate(&conn).unwrap_err();
    assert!(matches!(problem_of(&error).2, MigrationProblem::ForeignKeys { violations: 1, .. }), "{error:?}");
}

#[test]
fn where_they_were_off_they_stay_off_and_are_not_checked() {
    let conn = OpenOptions::new().pragma("foreign_keys", false).open_in_memory().unwrap();
    let breaks = Migration::new("breaks", "DELETE FROM users; CREATE TABLE odd(a REFERENCES nothing_at_all(b))");
    Migrations::new([Migration::new("tables", TABLES), breaks]).migrate(&conn).unwrap();
    assert_eq!(posts(&conn), 2);
    assert!(!conn.pragma::<bool>("foreign_keys").unwrap());
}

#[test]
fn a_deadline_that_has_passed_leaves_them_on() {
    let conn = open();
    let endless =
        "CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let list = Migrations::new([USERS, Migration::new("endless", endless)]);
    let deadline = conn.deadline(std::time::Duration::from_millis(20)).unwrap();
    let error = list.migrate(&conn).unwrap_err();
    assert!(error.is_deadline(), "{error:?}");
    // The control: nothing else runs now.
    assert!(conn.query_one::<i64>("SELECT 1", ()).unwrap_err().is_deadline());
    drop(deadline);
    assert!(conn.pragma::<bool>("foreign_keys").unwrap());
    assert!(conn.is_autocommit() && !conn.table_exists(None, "t").unwrap());
}
