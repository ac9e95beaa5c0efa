//! Migrations of files.

use super::*;

static FILES: Migrations = migrations![
    "sql/0001_users.sql",
    "sql/0002_posts/up.sql" down "sql/0002_posts/down.sql",
];

fn list_of(paths: &[&str]) -> finalite::Result<Vec<String>> {
    let list = Migrations::from_files(paths.iter().map(|path| (path, "SELECT 1")))?;
    Ok(list.iter().map(|migration| migration.name().to_owned()).collect())
}

#[test]
fn texts_become_part_of_the_program() {
    assert_eq!(FILES.len(), 2);
    assert_eq!(FILES.iter().map(|migration| migration.name()).collect::<Vec<_>>(), ["0001_users", "0002_posts"]);
    FILES.validate().unwrap();
    let conn = open();
    FILES.migrate(&conn).unwrap();
    conn.execute_batch("INSERT INTO users VALUES (1, 'Ada'); INSERT INTO posts(author) VALUES (1)").unwrap();
    FILES.migrate_to(&conn, 1).unwrap();
    assert!(!conn.table_exists(None, "posts").unwrap());
}

/// The test that the documentation of the macro advises.
#[test]
fn a_list_is_compared_with_its_folder() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/migrations/sql");
    let paths = ["0002_posts/down.sql", "0001_users.sql", "0002_posts/up.sql"];
    let files = |paths: &[&str]| {
        let read = |path: &&str| ((*path).to_owned(), std::fs::read_to_string(folder.join(path)).unwrap());
        Migrations::from_files(paths.iter().map(read)).unwrap()
    };
    assert_eq!(FILES, files(&paths));
    assert_ne!(FILES, files(&paths[1..]), "one without its script down");
    assert_ne!(FILES, files(&paths[1..2]), "one file less");
}

#[test]
fn every_way_to_name_files() {
    let sorted = ["0001_users", "0002_posts"];
    for paths in [
        ["0002_posts.sql", "0001_users.sql"],
        ["a/b/0002_posts.up.sql", "a/b/0001_users.sql"],
        ["migrations/0002_posts/up.sql", "migrations\\0001_users\\up.sql"],
    ] {
        assert_eq!(list_of(&paths).unwrap(), sorted, "{paths:?}");
    }
    let paths = ["V10__c.sql", "V2__b.sql", "V1__a.sql", "README.md", "mod.rs", "V3"];
    assert_eq!(list_of(&paths).unwrap(), ["V1__a", "V2__b", "V10__c"], "by number, and others ignored");
    assert_eq!(list_of(&["20240102_b.sql", "20231231_a.sql"]).unwrap(), ["20231231_a", "20240102_b"]);
    assert_eq!(list_of(&["2.sql", "1.up.sql", "1.down.sql"]).unwrap(), ["1", "2"]);
    assert_eq!(list_of(&[]).unwrap(), [""; 0]);
    let both = Migrations::from_files([("1_a.down.sql", "DROP TABLE a"), ("1_a.up.sql", "CREATE TABLE a(b)")]).unwrap();
    both.validate().unwrap();
    let conn = open();
    both.migrate(&conn).unwrap();
    both.migrate_to(&conn, 0).unwrap();
    assert_eq!(conn.schema_snapshot().unwrap(), "");
}

#[test]
fn files_that_cannot_be_ordered() {
    for (paths, file, reason) in [
        (&["1_a.sql", "2_b.sql", "1_c.sql"][..], "1_c.sql", "another file has the same number"),
        (&["1_a.up.sql", "01_a.sql"], "01_a.sql", "another file has the same number"),
        (&["users.sql"], "users.sql", "its name does not begin with a number"),
        (&["99999999999999999999_a.sql"], "99999999999999999999_a.sql", "its name does not begin with a number"),
        (&["1_a.sql", "x/2_b.down.sql"], "x/2_b.down.sql", "there is no migration of this number that it takes back"),
    ] {
        let error = list_of(paths).unwrap_err();
        let ErrorKind::MigrationFile { file: found, .. } = error.kind() else { panic!("{error:?}") };
        assert_eq!(&**found, file);
        assert_eq!(error.to_string(), format!("the migration {file}: {reason}"));
    }
}
