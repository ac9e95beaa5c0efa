//! What a mistake says: the one line that finalite prints beside the one line that rusqlite prints.
//!
//! Each mistake is made with both drivers, on the same SQLite and the same database, and the table of the lines is
//! compared with `docs/errors.md`. `UPDATE=1 cargo test` writes the file anew.
//!
//! Linux only: some lines hold the system's words for a missing file.
#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use finalite::pool::Pool;
use finalite::scan::ScanStrategy;
use finalite::{Connection, OpenOptions, named_params};

const SCHEMA: &str = "\
CREATE TABLE users(
    id    INTEGER PRIMARY KEY,
    name  TEXT NOT NULL,
    email TEXT UNIQUE,
    age   INTEGER CHECK (age >= 0)
);
CREATE TABLE orders(
    id    INTEGER PRIMARY KEY,
    user  INTEGER NOT NULL REFERENCES users(id) DEFERRABLE INITIALLY DEFERRED,
    total INTEGER
) STRICT;
INSERT INTO users VALUES (1, 'Ada', 'ada@example.org', 36), (2, 'Grace', NULL, NULL);
INSERT INTO orders VALUES (1, 1, 70000);
";

/// Where the doc says the files are.
const PLACE: &str = "/data";

/// One mistake, made twice.
struct Mistake {
    title: &'static str,
    given: Given,
    /// finalite's call, as it is compiled.
    code: &'static str,
    ours: fn(&Connection, &Path) -> finalite::Result<()>,
    /// `None` where the compiler refuses it.
    theirs: Option<fn(&rusqlite::Connection, &Path) -> rusqlite::Result<()>>,
    /// What the two lines do not tell.
    note: &'static str,
}

/// What has happened before.
#[derive(Default)]
struct Given {
    says: &'static str,
    /// Runs on the same connection.
    here: &'static str,
    /// Runs on another connection, which stays open.
    elsewhere: &'static str,
    /// Happens to the files while the connection is open.
    to_files: Option<fn(&Path)>,
}

/// finalite's call, then rusqlite's, for the same mistake. `dir` is the directory in which `app.db` is, the database
/// that `conn` has open.
macro_rules! mistake {
    ($title:literal, |$conn:pat_param, $dir:pat_param| $ours:expr, |$their:pat_param, $at:pat_param| $theirs:expr) => {
        Mistake {
            title: $title,
            given: Given::default(),
            code: stringify!($ours),
            ours: |$conn, $dir| done($ours),
            theirs: Some(|$their, $at| done($theirs)),
            note: "",
        }
    };
}

fn done<T, E>(result: Result<T, E>) -> Result<(), E> {
    result.map(drop)
}

impl Mistake {
    fn given(self, given: Given) -> Self {
        Self { given, ..self }
    }

    fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

fn conversions() -> Vec<Mistake> {
    vec![
        mistake!(
            "Text read as a number",
            |conn, _| conn.query_one::<i64>("SELECT name FROM users WHERE id = 1", ()),
            |conn, _| conn.query_one("SELECT name FROM users WHERE id = 1", [], |row| row.get::<_, i64>(0))
        ),
        mistake!(
            "NULL read as a number",
            |conn, _| conn.query_one::<i64>("SELECT age FROM users WHERE id = 2", ()),
            |conn, _| conn.query_one("SELECT age FROM users WHERE id = 2", [], |row| row.get::<_, i64>(0))
        ),
        mistake!(
            "Integer out of range",
            |conn, _| conn.query_one::<u16>("SELECT total FROM orders WHERE id = 1", ()),
            |conn, _| conn.query_one("SELECT total FROM orders WHERE id = 1", [], |row| row.get::<_, u16>(0))
        )
        .note("finalite shows no stored value, as messages end up in logs."),
        mistake!(
            "Text that is not UTF-8",
            |conn, _| conn.query_one::<String>("SELECT CAST(x'41ff' AS TEXT) AS label", ()),
            |conn, _| conn.query_one("SELECT CAST(x'41ff' AS TEXT) AS label", [], |row| row.get::<_, String>(0))
        ),
        mistake!(
            "More columns than the tuple has",
            |conn, _| conn.query_one::<(i64, String)>("SELECT * FROM users WHERE id = 1", ()),
            |conn, _| conn.query_one("SELECT * FROM users WHERE id = 1", [], |row| <(i64, String)>::try_from(row))
        ),
        mistake!(
            "Column index out of range",
            |conn, _| conn.query_row("SELECT id, name FROM users WHERE id = 1", (), |row| row.get::<String>(2)),
            |conn, _| conn.query_one("SELECT id, name FROM users WHERE id = 1", [], |row| row.get::<_, String>(2))
        ),
        mistake!(
            "Column name that the row does not have",
            |conn, _| conn.query_row("SELECT id, name FROM users WHERE id = 1", (), |row| row.get::<String>("nmae")),
            |conn, _| conn.query_one("SELECT id, name FROM users WHERE id = 1", [], |row| row.get::<_, String>("nmae"))
        ),
        mistake!(
            "No row",
            |conn, _| conn.query_one::<String>("SELECT name FROM users WHERE id = ?", (7,)),
            |conn, _| conn.query_one("SELECT name FROM users WHERE id = ?", [7], |row| row.get::<_, String>(0))
        ),
        mistake!(
            "No rows to expect one of",
            |conn, _| conn.query_one::<i64>("INSERT INTO users(name) VALUES (?)", ("Alan",)),
            |conn, _| conn.query_one("INSERT INTO users(name) VALUES (?)", ("Alan",), |row| row.get::<_, i64>(0))
        )
        .note("finalite runs nothing; with rusqlite the row is stored."),
        mistake!(
            "Several rows where one is expected",
            |conn, _| conn.query_one::<String>("SELECT name FROM users", ()),
            |conn, _| conn.query_one("SELECT name FROM users", [], |row| row.get::<_, String>(0))
        ),
    ]
}

fn parameters() -> Vec<Mistake> {
    vec![
        mistake!(
            "Too few parameters",
            |conn, _| conn.execute("INSERT INTO orders(user, total) VALUES (?, ?)", (1,)),
            |conn, _| conn.execute("INSERT INTO orders(user, total) VALUES (?, ?)", (1,))
        ),
        mistake!(
            "Too many parameters",
            |conn, _| conn.execute("INSERT INTO orders(user, total) VALUES (?, ?)", (1, 1999, "EUR")),
            |conn, _| conn.execute("INSERT INTO orders(user, total) VALUES (?, ?)", (1, 1999, "EUR"))
        ),
        mistake!(
            "Named parameter that the SQL does not have",
            |conn, _| conn.execute(
                "INSERT INTO orders(user, total) VALUES (:user, :total)",
                named_params! { ":user": 1, ":totl": 1999 }
            ),
            |conn, _| conn.execute(
                "INSERT INTO orders(user, total) VALUES (:user, :total)",
                rusqlite::named_params! { ":user": 1, ":totl": 1999 }
            )
        ),
        mistake!(
            "Named parameter without a value",
            |conn, _| conn
                .execute("INSERT INTO orders(user, total) VALUES (:user, :total)", named_params! { ":user": 1 }),
            |conn, _| conn.execute(
                "INSERT INTO orders(user, total) VALUES (:user, :total)",
                rusqlite::named_params! { ":user": 1 }
            )
        )
        .note("Without an error, NULL is stored."),
        mistake!(
            "Named parameter with two values",
            |conn, _| conn.execute(
                "INSERT INTO orders(user, total) VALUES (:user, :total)",
                named_params! { ":user": 1, ":total": 1999, ":user": 2 }
            ),
            |conn, _| conn.execute(
                "INSERT INTO orders(user, total) VALUES (:user, :total)",
                rusqlite::named_params! { ":user": 1, ":total": 1999, ":user": 2 }
            )
        )
        .note("Without an error, the second value is stored."),
        Mistake {
            theirs: if Bindable::<u64>::yes() { panic!("rusqlite binds `u64` now") } else { None },
            ..mistake!(
                "Unsigned integer beyond 64 bits with sign",
                |conn, _| conn.execute(
                    "INSERT INTO orders(user, total) VALUES (1, :total)",
                    named_params! { ":total": u64::MAX }
                ),
                |_, _| Ok::<(), rusqlite::Error>(())
            )
        }
        .note("To rusqlite, `u64` is a parameter with its feature `fallible_uint` only."),
    ]
}

#[test]
fn a_type_that_binds_is_told_from_one_that_does_not() {
    struct Foreign;
    assert!(Bindable::<u32>::yes() && !Bindable::<Foreign>::yes());
}

/// Whether rusqlite takes a type as a parameter: the inherent function wins over the trait's where it exists.
struct Bindable<T>(std::marker::PhantomData<T>);

trait Otherwise {
    fn yes() -> bool {
        false
    }
}

impl<T> Otherwise for Bindable<T> {}

impl<T: rusqlite::ToSql> Bindable<T> {
    fn yes() -> bool {
        true
    }
}

fn sql() -> Vec<Mistake> {
    vec![
        mistake!(
            "Table that does not exist",
            |conn, _| conn.execute("INSERT INTO user(name) VALUES (?)", ("Alan",)),
            |conn, _| conn.execute("INSERT INTO user(name) VALUES (?)", ("Alan",))
        ),
        mistake!("Misspelt column", |conn, _| conn.query_all::<String>("SELECT nmae FROM users", ()), |conn, _| conn
            .prepare("SELECT nmae FROM users")),
        mistake!(
            "Misspelt column in double quotes",
            |_, dir| OpenOptions::recommended()
                .open(dir.join("app.db"))
                .and_then(|conn| conn.query_all::<i64>("SELECT id FROM users WHERE \"nmae\" = 'Ada'", ())),
            |conn, _| conn
                .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DQS_DML, false)
                .and_then(|_| conn.prepare("SELECT id FROM users WHERE \"nmae\" = 'Ada'").map(drop))
        )
        .note(
            "SQLite takes the name for a string, without an error, until that is switched off. In finalite \
             `OpenOptions::recommended()` does so, in rusqlite `set_db_config`, as in this test.",
        ),
        mistake!(
            "Syntax error on the third line",
            |conn, _| conn.prepare("SELECT id, name\nFROM users\nWHERE age > 30 ODER BY name"),
            |conn, _| conn.prepare("SELECT id, name\nFROM users\nWHERE age > 30 ODER BY name")
        ),
        mistake!("Typo in a keyword", |conn, _| conn.prepare("SELCT name FROM users"), |conn, _| conn
            .prepare("SELCT name FROM users")),
        mistake!(
            "Mistake in the third statement of a script",
            |conn, _| conn.execute_batch(
                "CREATE TABLE tags(name TEXT);\nINSERT INTO tags VALUES ('new');\nINSERT INTO tgas VALUES ('old');"
            ),
            |conn, _| conn.execute_batch(
                "CREATE TABLE tags(name TEXT);\nINSERT INTO tags VALUES ('new');\nINSERT INTO tgas VALUES ('old');"
            )
        ),
        mistake!(
            "Failure in the third statement of a script",
            |conn, _| {
                conn.execute_batch(
                "CREATE TABLE tags(name TEXT UNIQUE);\nINSERT INTO tags VALUES ('new');\nINSERT INTO tags VALUES ('new');"
            )
            },
            |conn, _| {
                conn.execute_batch(
                "CREATE TABLE tags(name TEXT UNIQUE);\nINSERT INTO tags VALUES ('new');\nINSERT INTO tags VALUES ('new');"
            )
            }
        ),
        mistake!(
            "A second statement where one is expected",
            |conn, _| conn.execute("DELETE FROM orders; DELETE FROM users", ()),
            |conn, _| conn.execute("DELETE FROM orders; DELETE FROM users", ())
        ),
        mistake!("NUL in the SQL", |conn, _| conn.execute("DELETE FROM orders\0 WHERE id = 1", ()), |conn, _| conn
            .execute("DELETE FROM orders\0 WHERE id = 1", ())),
        mistake!("Empty SQL", |conn, _| conn.execute("-- DELETE FROM orders", ()), |conn, _| conn
            .execute("-- DELETE FROM orders", ())),
    ]
}

fn constraints() -> Vec<Mistake> {
    vec![
        mistake!(
            "UNIQUE",
            |conn, _| conn.execute("INSERT INTO users(name, email) VALUES (?, ?)", ("Alan", "ada@example.org")),
            |conn, _| conn.execute("INSERT INTO users(name, email) VALUES (?, ?)", ("Alan", "ada@example.org"))
        ),
        mistake!(
            "PRIMARY KEY",
            |conn, _| conn.execute("INSERT INTO users(id, name) VALUES (?, ?)", (1, "Alan")),
            |conn, _| conn.execute("INSERT INTO users(id, name) VALUES (?, ?)", (1, "Alan"))
        ),
        mistake!(
            "NOT NULL",
            |conn, _| conn.execute("INSERT INTO users(name) VALUES (?)", (None::<&str>,)),
            |conn, _| conn.execute("INSERT INTO users(name) VALUES (?)", (None::<&str>,))
        ),
        mistake!("CHECK", |conn, _| conn.execute("UPDATE users SET age = ? WHERE id = 1", (-1,)), |conn, _| conn
            .execute("UPDATE users SET age = ? WHERE id = 1", (-1,))),
        mistake!(
            "A trigger's own words",
            |conn, _| conn.execute("UPDATE users SET email = ? WHERE id = 1", ("ada@example.com",)),
            |conn, _| conn.execute("UPDATE users SET email = ? WHERE id = 1", ("ada@example.com",))
        )
        .given(Given {
            says: "A trigger on `users` refuses with `RAISE(ABORT, 'the address is fixed: ' || OLD.email)`.",
            here: "CREATE TRIGGER fixed BEFORE UPDATE OF email ON users \
                   BEGIN SELECT RAISE(ABORT, 'the address is fixed: ' || OLD.email); END",
            ..Given::default()
        })
        .note("The words of the program are shown whole, with the values that it puts into them."),
        mistake!("FOREIGN KEY", |conn, _| conn.execute("INSERT INTO orders(user) VALUES (?)", (99,)), |conn, _| conn
            .execute("INSERT INTO orders(user) VALUES (?)", (99,))),
        mistake!(
            "FOREIGN KEY, with RETURNING",
            |conn, _| conn.query_row("INSERT INTO orders(user) VALUES (?) RETURNING id", (99,), |row| row.get::<i64>(0)),
            |conn, _| conn
                .query_row("INSERT INTO orders(user) VALUES (?) RETURNING id", [99], |row| row.get::<_, i64>(0))
        )
        .note(
            "The foreign key is checked when the statement ends, after its row. rusqlite's `query_row` returns the row, \
             and nothing is stored; its `query_one` goes on to the end and returns the error.",
        ),
        mistake!(
            "Wrong type for a STRICT table",
            |conn, _| conn.execute("INSERT INTO orders(user, total) VALUES (?, ?)", (1, "a lot")),
            |conn, _| conn.execute("INSERT INTO orders(user, total) VALUES (?, ?)", (1, "a lot"))
        ),
    ]
}

fn files() -> Vec<Mistake> {
    vec![
        mistake!("Locked by another connection", |conn, _| conn.execute("DELETE FROM orders", ()), |conn, _| conn
            .execute("DELETE FROM orders", ()))
        .given(Given {
            says: "Another connection has begun a transaction with `BEGIN IMMEDIATE`; the busy timeout is 0.",
            here: "PRAGMA busy_timeout = 0",
            elsewhere: "BEGIN IMMEDIATE",
            ..Given::default()
        }),
        mistake!(
            "Transaction within a transaction",
            |conn, _| conn.unchecked_transaction().and_then(|_tx| conn.unchecked_transaction().map(drop)),
            |conn, _| conn.unchecked_transaction().and_then(|_tx| conn.unchecked_transaction().map(drop))
        ),
        mistake!("Change of the journal mode beside another connection",
            |conn, _| conn.set_pragma("journal_mode", "wal"),
            |conn, _| conn.pragma_update(None, "journal_mode", "wal"))
        .given(Given {
            says: "Another connection has begun a transaction with `BEGIN IMMEDIATE`; the busy timeout is 0.",
            here: "PRAGMA busy_timeout = 0",
            elsewhere: "BEGIN IMMEDIATE",
            ..Given::default()
        })
        .note("finalite waits as long as the busy timeout says; SQLite by itself does not."),
        mistake!("Reader that turns writer too late", |conn, _| conn.execute("DELETE FROM orders", ()), |conn, _| conn
            .execute("DELETE FROM orders", ()))
        .given(Given {
            says: "In WAL mode, this connection has read within a transaction; another has written since.",
            here: "PRAGMA journal_mode = wal; BEGIN; SELECT * FROM users",
            elsewhere: "UPDATE users SET age = 37 WHERE id = 1",
            ..Given::default()
        }),
        mistake!(
            "Locked by the connection itself",
            |conn, _| conn.execute("INSERT INTO again.users(name) VALUES (?)", ("Alan",)),
            |conn, _| conn.execute("INSERT INTO again.users(name) VALUES (?)", ("Alan",))
        )
        .given(Given {
            says: "`app.db` is attached once more, as `again`, and `main` has begun to write; the busy timeout is 0.",
            here: "PRAGMA busy_timeout = 0; ATTACH (SELECT file FROM pragma_database_list) AS again; BEGIN; \
                   INSERT INTO users(name) VALUES ('Alan')",
            ..Given::default()
        }),
        mistake!(
            "Checkpoint within a transaction",
            |conn, _| conn.set_pragma("wal_checkpoint", "truncate"),
            |conn, _| conn.query_one("PRAGMA wal_checkpoint(truncate)", [], |row| row.get::<_, i64>(0))
        )
        .given(Given {
            says: "In WAL mode, this connection has begun a transaction and written.",
            here: "PRAGMA journal_mode = wal; BEGIN; INSERT INTO users(name) VALUES ('Alan')",
            ..Given::default()
        }),
        mistake!(
            "Write to a database that is open for reading",
            |_, dir| OpenOptions::new()
                .read_only(true)
                .open(dir.join("app.db"))
                .and_then(|conn| conn.execute("DELETE FROM orders", ())),
            |_, dir| rusqlite::Connection::open_with_flags(
                dir.join("app.db"),
                rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY
            )
            .and_then(|conn| conn.execute("DELETE FROM orders", ()))
        ),
        mistake!(
            "File that is no database",
            |_, dir| Connection::open(dir.join("notes.txt")).and_then(|conn| conn.execute("DELETE FROM orders", ())),
            |_, dir| rusqlite::Connection::open(dir.join("notes.txt"))
                .and_then(|conn| conn.execute("DELETE FROM orders", ()))
        )
        .given(Given {
            says: "`notes.txt` holds text.",
            to_files: Some(|dir| fs::write(dir.join("notes.txt"), "no database. ".repeat(100)).unwrap()),
            ..Given::default()
        }),
        mistake!("Directory where a file should be", |_, dir| Connection::open(dir), |_, dir| {
            rusqlite::Connection::open(dir)
        }),
        mistake!(
            "URI where a path is expected",
            |_, dir| Connection::open(format!("file:{}?mode=ro", dir.join("app.db").display())),
            |_, dir| rusqlite::Connection::open(format!("file:{}?mode=ro", dir.join("app.db").display()))
        )
        .note(
            "rusqlite takes URIs unless told otherwise, finalite when it is told. Until somebody says which it is, such a \
             path would be one thing for the one and another for the other.",
        ),
        mistake!(
            "Pool on a database in memory",
            |_, _| Pool::builder(":memory:").build(),
            |_, _| [rusqlite::Connection::open(":memory:")?, rusqlite::Connection::open(":memory:")?][1]
                .execute("DELETE FROM orders", [])
        )
        .note("Each connection has a database of its own; with rusqlite the second one is made by hand here."),
        mistake!("Directory that does not exist", |_, dir| Connection::open(dir.join("missing/app.db")), |_, dir| {
            rusqlite::Connection::open(dir.join("missing/app.db"))
        }),
        mistake!("Links in a circle", |_, dir| Connection::open(dir.join("a.db")), |_, dir| {
            rusqlite::Connection::open(dir.join("a.db"))
        })
        .given(Given {
            says: "`a.db` is a link to `b.db`, which is one to `a.db`.",
            to_files: Some(|dir| {
                std::os::unix::fs::symlink("b.db", dir.join("a.db")).unwrap();
                std::os::unix::fs::symlink("a.db", dir.join("b.db")).unwrap();
            }),
            ..Given::default()
        }),
        mistake!(
            "Attached file that cannot be opened",
            |conn, dir| conn.execute("ATTACH ? AS other", (dir.join("missing/other.db").to_str(),)),
            |conn, dir| conn.execute("ATTACH ? AS other", (dir.join("missing/other.db").to_str(),))
        )
        .note("The path is bound, so finalite does not show it."),
        mistake!("File moved away while it is open", |conn, _| conn.execute("DELETE FROM orders", ()), |conn, _| conn
            .execute("DELETE FROM orders", ()))
        .given(Given {
            says: "`app.db` was renamed to `old.db`.",
            to_files: Some(|dir| fs::rename(dir.join("app.db"), dir.join("old.db")).unwrap()),
            ..Given::default()
        }),
        mistake!(
            "Damaged file",
            |conn, _| conn.scan_table("users").all_columns().strategy(ScanStrategy::Pages).columns(),
            |conn, _| conn
                .prepare("SELECT name FROM users")?
                .query_map([], |row| row.get::<_, String>(0))?
                .try_for_each(|name| name.map(drop))
        )
        .given(Given {
            says: "The header of the second row's record says that it is empty.",
            to_files: Some(|dir| {
                const PAGE: usize = 4096;
                let mut bytes = fs::read(dir.join("app.db")).unwrap();
                let cell = usize::from(u16::from_be_bytes([bytes[PAGE + 10], bytes[PAGE + 11]]));
                // Behind the length of the record and the rowid.
                bytes[PAGE + cell + 2] = 1;
                fs::write(dir.join("app.db"), bytes).unwrap();
            }),
            ..Given::default()
        })
        .note("Read from its pages, a table says where it is damaged. SQLite says that it is."),
        mistake!(
            "Database full",
            |conn, _| conn.execute("INSERT INTO users(name) VALUES (?)", ("x".repeat(100_000),)),
            |conn, _| conn.execute("INSERT INTO users(name) VALUES (?)", ("x".repeat(100_000),))
        )
        .given(Given {
            says: "`PRAGMA max_page_count` allows no more pages.",
            here: "PRAGMA max_page_count = 1",
            ..Given::default()
        }),
        mistake!(
            "Setting that does not take",
            |_, _| Connection::open_in_memory().and_then(|conn| conn.set_pragma("journal_mode", "wal")),
            |_, _| rusqlite::Connection::open_in_memory().and_then(|conn| conn.pragma_update(
                None,
                "journal_mode",
                "wal"
            ))
        )
        .note(
            "SQLite has no WAL for a database in memory, and goes on without a word. rusqlite's \
             `pragma_update_and_check` hands the caller what the setting is now.",
        ),
        mistake!("Setting that does not exist", |conn, _| conn.set_pragma("jurnal_mode", "wal"), |conn, _| conn
            .pragma_update(None, "jurnal_mode", "wal"))
        .note("SQLite ignores names that it does not know."),
    ]
}

/// A fresh directory with the database in it.
fn directory() -> (tempfile::TempDir, PathBuf) {
    let guard = tempfile::tempdir().unwrap();
    let dir = guard.path().canonicalize().unwrap();
    Connection::open(dir.join("app.db")).unwrap().execute_batch(SCHEMA).unwrap();
    (guard, dir)
}

impl Given {
    /// Runs what happens outside of the connection that makes the mistake.
    fn arrange(&self, dir: &Path) -> Connection {
        let other = Connection::open(dir.join("app.db")).unwrap();
        other.execute_batch(self.elsewhere).unwrap();
        if let Some(happen) = self.to_files {
            happen(dir);
        }
        other
    }
}

impl Mistake {
    fn make_with_finalite(&self) -> String {
        let (_guard, dir) = directory();
        let conn = Connection::open(dir.join("app.db")).unwrap();
        conn.execute_batch(self.given.here).unwrap();
        conn.query_one::<i64>("SELECT count(*) FROM users", ()).unwrap();
        let _other = self.given.arrange(&dir);
        line((self.ours)(&conn, &dir), &dir)
    }

    fn make_with_rusqlite(&self) -> String {
        let Some(theirs) = self.theirs else {
            return "(does not compile)".to_owned();
        };
        let (_guard, dir) = directory();
        let conn = rusqlite::Connection::open(dir.join("app.db")).unwrap();
        conn.execute_batch(self.given.here).unwrap();
        conn.query_one("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0)).unwrap();
        let _other = self.given.arrange(&dir);
        line(theirs(&conn, &dir), &dir)
    }
}

fn line<E: std::fmt::Display>(result: Result<(), E>, dir: &Path) -> String {
    match result {
        Ok(()) => "(no error)".to_owned(),
        Err(error) => error.to_string().replace(dir.to_str().unwrap(), PLACE),
    }
}

/// Text as it is, in a code span. A span has no line break: one in the text is shown as `\n`, a NUL as `\0`.
fn code_span(text: &str) -> String {
    let text = text.replace('\n', "\\n").replace('\0', "\\0");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// The compiler breaks what it prints of an expression where it grows long; here it is one line.
fn one_line(code: &str) -> String {
    code.lines().map(str::trim).fold(String::new(), |mut line, next| {
        if !(line.is_empty() || line.ends_with('(') || next.starts_with(['.', ')'])) {
            line.push(' ');
        }
        line + next
    })
}

fn document() -> String {
    let mut doc = format!(
        "# What mistakes say\n\n\
         Each mistake below is made with finalite and with rusqlite 0.43, on SQLite {} and the same database. What each \
         prints for its error (`Display`) is shown as it is, with `\\n` for a line break and `\\0` for a NUL in it. The \
         code is finalite's; both calls are in `benches/peers/tests/errors.rs`, which makes the mistakes and compares \
         this page with what it gets.\n\n\
         rusqlite is a fine crate, and what its line leaves out can often be had in another way: its errors carry \
         SQLite's codes, and the caller knows the SQL. The page is about the one line that ends up in a log.\n\n\
         The database is `app.db` in the directory `dir`, which is `{PLACE}`; `conn` has it open:\n\n\
         ```sql\n{SCHEMA}```\n",
        finalite::sqlite::version(),
    );
    let chapters = [
        ("Rows and values", conversions()),
        ("Parameters", parameters()),
        ("SQL", sql()),
        ("Constraints", constraints()),
        ("Files, locks, settings", files()),
    ];
    for (chapter, mistakes) in chapters {
        write!(doc, "\n## {chapter}\n").unwrap();
        for mistake in mistakes {
            let Mistake { title, given, code, note, .. } = &mistake;
            write!(doc, "\n### {title}\n\n").unwrap();
            if !given.says.is_empty() {
                write!(doc, "{}\n\n", given.says).unwrap();
            }
            write!(doc, "```rust\n{}\n```\n\n", one_line(code)).unwrap();
            writeln!(doc, "- finalite: {}", code_span(&mistake.make_with_finalite())).unwrap();
            writeln!(doc, "- rusqlite: {}", code_span(&mistake.make_with_rusqlite())).unwrap();
            if !note.is_empty() {
                write!(doc, "\n{note}\n").unwrap();
            }
        }
    }
    doc
}

#[test]
fn the_page_shows_what_the_drivers_print() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let now = document();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &now).unwrap();
        return;
    }
    let page = fs::read_to_string(&path).unwrap();
    for (shown, now) in page.lines().zip(now.lines()) {
        assert_eq!(shown, now, "docs/errors.md; UPDATE=1 writes it anew");
    }
    assert_eq!(page, now, "docs/errors.md; UPDATE=1 writes it anew");
}
