//! No error and no event shows a value that is bound or stored.

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use finalite::{
    Connection, ConversionError, DropBehavior, Error, FromSql, OpenOptions, Result, ValueRef, named_params,
    params_from_iter,
};

use crate::common::listening::Fields;
use crate::runner::cases;

cases![
    the_search_for_secrets_finds_them,
    no_error_and_no_log_shows_what_is_stored_or_bound,
    what_only_the_log_tells_shows_no_value_either,
    what_sqlite_quotes_of_a_bound_value_is_not_shown,
    what_is_bound_is_shown_nowhere_in_a_message,
    the_key_of_an_encrypted_database_is_not_shown,
];

const SECRET: &str = "s3cr3t-value";

/// Whether a text holds the secret, as text or as bytes in some spelling.
fn shows_secret(text: &str) -> bool {
    let bytes = SECRET.as_bytes();
    let list = format!("{bytes:?}");
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.contains(SECRET) || text.contains(list.trim_matches(['[', ']'])) || text.to_lowercase().contains(&hex)
}

/// Keeps every event, all fields as text.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Recorder {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        let mut text = Fields(span.metadata().name().to_owned());
        span.record(&mut text);
        self.0.lock().unwrap().push(text.0);
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        let mut text = Fields(String::new());
        values.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Fields(format!("{} {}", event.metadata().target(), event.metadata().level()));
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

type Run = fn(&mut Connection) -> Result<()>;

/// What a failure has left.
struct Left {
    line: String,
    log: Vec<String>,
    /// The lines that show the secret, of the error's and of the log's.
    secrets: Vec<String>,
}

/// Runs something that must fail.
fn fail(run: Run) -> Left {
    let recorder = Recorder::default();
    let error = tracing::subscriber::with_default(recorder.clone(), || {
        let mut conn = OpenOptions::new().slow_threshold(Some(Duration::ZERO)).open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE t(a TEXT UNIQUE, b BLOB);
             CREATE TABLE keys(k TEXT PRIMARY KEY) WITHOUT ROWID;
             CREATE TABLE checked(a CHECK (length(a) < 3), n NOT NULL);
             CREATE TABLE strict_table(i INTEGER) STRICT;
             CREATE TABLE numbered(id INTEGER PRIMARY KEY);
             CREATE TABLE expression(a);
             CREATE UNIQUE INDEX lower_a ON expression(lower(a));
             CREATE TABLE parent(id TEXT PRIMARY KEY);
             CREATE TABLE child(parent REFERENCES parent);
             CREATE TABLE deferred(parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
             CREATE TABLE closed(a);
             CREATE TRIGGER closing BEFORE INSERT ON closed BEGIN SELECT RAISE(ABORT, 'closed'); END;",
        )?;
        conn.execute("INSERT INTO t VALUES (?, ?)", (SECRET, SECRET.as_bytes()))?;
        conn.execute("INSERT INTO keys VALUES (?)", (SECRET,))?;
        conn.execute("INSERT INTO expression VALUES (?)", (SECRET,))?;
        let result = run(&mut conn);
        conn.close().unwrap();
        result
    })
    .unwrap_err();
    let log = std::mem::take(&mut *recorder.0.lock().unwrap());
    assert!(log.iter().any(|line| line.contains("CREATE TABLE t")), "the recorder records");
    let mut lines =
        vec![error.to_string(), format!("{error:?}"), format!("{error:#?}"), format!("{:?}", error.constraint())];
    let mut source = error.source();
    while let Some(error) = source {
        lines.push(format!("{error} {error:?}"));
        source = error.source();
    }
    lines.extend(log.iter().cloned());
    lines.retain(|line| shows_secret(line));
    Left { line: error.to_string(), log, secrets: lines }
}

#[derive(Debug)]
struct Seven;

impl FromSql<'_> for Seven {
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        match value.as_str()?.parse::<i64>() {
            Ok(7) => Ok(Self),
            Ok(_) => Err(ConversionError::message("Seven", "some other number")),
            Err(error) => Err(ConversionError::other("Seven", error)),
        }
    }
}

fn the_search_for_secrets_finds_them() {
    let in_the_error = fail(|_| Err(Error::external(format!("broken: {SECRET}"))));
    assert_eq!(in_the_error.secrets.len(), 4, "Display, Debug twice, the source");
    let in_the_log = fail(|conn| {
        tracing::trace!(bound = ?conn.query_one::<Vec<u8>>("SELECT b FROM t", ())?, "broken");
        Err(Error::external("mine"))
    });
    assert_eq!(in_the_log.secrets.len(), 1, "the event");
    assert!(shows_secret("7333637233742D76616C7565"));
}

fn no_error_and_no_log_shows_what_is_stored_or_bound() {
    const NOT_UTF8: &[u8] = b"s3cr3t-value\xff";
    let failing: &[(&str, Run)] = &[
        // Conversions.
        ("TEXT: not readable as i64", |conn| conn.query_one::<i64>("SELECT a FROM t", ()).map(drop)),
        ("BLOB: not readable as String", |conn| conn.query_one::<String>("SELECT b FROM t", ()).map(drop)),
        ("12 bytes, not 4", |conn| conn.query_one::<[u8; 4]>("SELECT b FROM t", ()).map(drop)),
        ("TEXT: not readable as f64", |conn| conn.query_one::<f64>("SELECT ?", (SECRET,)).map(drop)),
        ("invalid utf-8", |conn| conn.query_one::<String>("SELECT CAST(? AS TEXT)", (NOT_UTF8,)).map(drop)),
        ("invalid digit", |conn| conn.query_one::<Seven>("SELECT ?", (SECRET,)).map(drop)),
        ("the row has 2 columns", |conn| conn.query_one::<String>("SELECT ?, a FROM t", (SECRET,)).map(drop)),
        ("expected one row", |conn| conn.query_one::<String>("VALUES (?1), (?1)", (SECRET,)).map(drop)),
        ("expected one row", |conn| conn.query_one::<String>("SELECT 1 WHERE ? = 1", (SECRET,)).map(drop)),
        ("no such column", |conn| conn.query_row("SELECT ? AS a", (SECRET,), |row| row.get::<String>("b")).map(drop)),
        ("TEXT: not readable as i64", |conn| conn.query_all::<i64>("VALUES (1), (?)", (SECRET,)).map(drop)),
        // Parameters.
        ("2 parameters, 1 was", |conn| conn.execute("INSERT INTO t VALUES (?, ?)", (SECRET,)).map(drop)),
        ("1 parameter, 2 were", |conn| conn.execute("DELETE FROM t WHERE a = ?", (SECRET, SECRET)).map(drop)),
        ("the SQL has 1 parameter", |conn| {
            conn.execute("DELETE FROM t WHERE a = ?", params_from_iter([SECRET; 3])).map(drop)
        }),
        ("no such parameter: :b", |conn| {
            conn.execute("DELETE FROM t WHERE a = :a", named_params! { ":a": SECRET, ":b": SECRET }).map(drop)
        }),
        ("parameter 2 (:b)", |conn| {
            conn.execute("INSERT INTO t VALUES (:a, :b)", named_params! { ":a": SECRET }).map(drop)
        }),
        ("parameter 2", |conn| conn.execute("INSERT INTO t VALUES (?, ?)", (SECRET, u64::MAX)).map(drop)),
        ("NaN", |conn| conn.execute("INSERT INTO t VALUES (?, ?)", (SECRET, f64::NAN)).map(drop)),
        ("parameter 1", |conn| conn.execute("INSERT INTO t(a) VALUES (?)", (ValueRef::Text(NOT_UTF8),)).map(drop)),
        // Constraints and types.
        ("UNIQUE", |conn| conn.execute("INSERT INTO t(a) VALUES (?)", (SECRET,)).map(drop)),
        ("UNIQUE", |conn| conn.execute("INSERT INTO t SELECT * FROM t", ()).map(drop)),
        ("UNIQUE", |conn| conn.prepare("INSERT INTO t(a) VALUES (?)")?.execute_many([("a",), (SECRET,)]).map(drop)),
        ("index 'lower_a'", |conn| conn.execute("INSERT INTO expression VALUES (?)", (SECRET,)).map(drop)),
        ("PRIMARYKEY", |conn| conn.execute("INSERT INTO keys VALUES (?)", (SECRET,)).map(drop)),
        ("NOT NULL", |conn| conn.execute("INSERT INTO checked VALUES (?, NULL)", (SECRET,)).map(drop)),
        ("CHECK", |conn| conn.execute("INSERT INTO checked VALUES (?, 1)", (SECRET,)).map(drop)),
        ("FOREIGN KEY", |conn| conn.execute("INSERT INTO child VALUES (?)", (SECRET,)).map(drop)),
        ("FOREIGN KEY", |conn| {
            conn.query_one::<String>("INSERT INTO deferred VALUES (?) RETURNING parent", (SECRET,)).map(drop)
        }),
        ("FOREIGN KEY", |conn| {
            let tx = conn.transaction()?;
            tx.execute("INSERT INTO deferred VALUES (?)", (SECRET,))?;
            tx.commit()
        }),
        ("cannot store TEXT", |conn| conn.execute("INSERT INTO strict_table VALUES (?)", (SECRET,)).map(drop)),
        ("datatype mismatch", |conn| conn.execute("INSERT INTO numbered VALUES (?)", (SECRET,)).map(drop)),
        ("closed", |conn| conn.execute("INSERT INTO closed VALUES (?)", (SECRET,)).map(drop)),
        // SQLite's functions, limits and settings.
        ("malformed JSON", |conn| conn.query_one::<String>("SELECT json(?)", (SECRET,)).map(drop)),
        ("ESCAPE", |conn| conn.query_one::<i64>("SELECT 'a' LIKE ?1 ESCAPE ?1", (SECRET,)).map(drop)),
        ("TOOBIG", |conn| conn.query_one::<String>("SELECT ? || zeroblob(2000000000)", (SECRET,)).map(drop)),
        ("READONLY", |conn| {
            conn.execute("PRAGMA query_only = on", ())?;
            conn.execute("INSERT INTO t(a) VALUES (?)", (SECRET,)).map(drop)
        }),
        ("no such table: t", |conn| {
            let mut statement = conn.prepare("SELECT a FROM t WHERE a = ?")?;
            conn.execute("DROP TABLE t", ())?;
            statement.query_all::<String>((SECRET,)).map(drop)
        }),
        ("interrupted", |conn| {
            let mut statement = conn.prepare("VALUES (?1), (?1)")?;
            let mut rows = statement.query((SECRET,))?;
            rows.next()?;
            conn.interrupt_handle().interrupt();
            rows.next().map(drop)
        }),
        ("transaction has already ended", |conn| {
            let tx = conn.transaction()?;
            tx.execute_batch("ROLLBACK")?;
            tx.execute("INSERT INTO t(a) VALUES (?)", (SECRET,)).map(drop)
        }),
    ];
    for (expected, run) in failing {
        let left = fail(*run);
        assert!(left.line.contains(expected), "{expected}: {}", left.line);
        assert_eq!(left.secrets, Vec::<String>::new(), "{expected}");
    }
}

fn what_only_the_log_tells_shows_no_value_either() {
    let logged: &[(&str, Run)] = &[
        ("ended in drop, with this error", |conn| {
            let mut statement = conn.prepare("INSERT INTO deferred VALUES (?) RETURNING parent")?;
            let mut rows = statement.query((SECRET,))?;
            rows.next()?;
            drop(rows);
            Err(Error::external("see the log"))
        }),
        ("a forgotten handle", |conn| {
            let mut statement = conn.prepare("SELECT a, ? FROM t")?;
            let mut rows = statement.query((SECRET,))?;
            rows.next()?;
            std::mem::forget(rows);
            std::mem::forget(statement);
            Err(Error::external("see the log"))
        }),
        ("slow statement", |conn| {
            conn.query_one::<String>("SELECT a FROM t WHERE a = ?", (SECRET,))?;
            Err(Error::external("see the log"))
        }),
        ("release failed in drop", |conn| {
            let mut tx = conn.transaction()?;
            let mut savepoint = tx.savepoint_named("point")?;
            savepoint.set_drop_behavior(DropBehavior::Commit);
            savepoint.execute("INSERT INTO t(a) VALUES (?)", ("other",))?;
            savepoint.execute("ROLLBACK", ())?;
            drop(savepoint);
            Err(Error::external("see the log"))
        }),
    ];
    for (event, run) in logged {
        let left = fail(*run);
        assert!(left.log.iter().any(|line| line.contains(event)), "{event}: {:#?}", left.log);
        assert_eq!(left.secrets, Vec::<String>::new(), "{event}");
    }
}

fn what_sqlite_quotes_of_a_bound_value_is_not_shown() {
    let failing: &[(&str, Run)] = &[
        ("JSON path", |conn| conn.query_one::<String>("SELECT json_extract('{}', ?)", (SECRET,)).map(drop)),
        ("no such database", |conn| conn.execute("DETACH ?", (SECRET,)).map(drop)),
        ("unable to open database", |conn| {
            conn.execute("ATTACH ? AS other", (format!("/no/where/{SECRET}"),)).map(drop)
        }),
        ("no such column", |conn| {
            conn.execute("CREATE VIRTUAL TABLE words USING fts5(word)", ())?;
            let query = format!("\"{SECRET}\" : x");
            conn.query_all::<String>("SELECT word FROM words WHERE words MATCH ?", (query,)).map(drop)
        }),
    ];
    for (expected, run) in failing {
        let left = fail(*run);
        assert!(left.line.contains(expected), "{expected}: {}", left.line);
        assert_eq!(left.secrets, Vec::<String>::new(), "{expected}");
    }
}

fn what_is_bound_is_shown_nowhere_in_a_message() {
    let failing: &[(&str, Run)] = &[
        ("unknown database '…'", |conn| {
            conn.query_all::<i64>("SELECT cid FROM pragma_table_info('t', ?)", (SECRET,)).map(drop)
        }),
        ("database … is already in use", |conn| {
            conn.execute("ATTACH ':memory:' AS ?", (SECRET,))?;
            conn.execute("ATTACH ':memory:' AS ?", (SECRET,)).map(drop)
        }),
        ("database a … is already in use", |conn| {
            let attach = "ATTACH ':memory:' AS ('a ' || :name || '')";
            conn.execute(attach, (SECRET,))?;
            conn.execute(attach, named_params! { ":name": SECRET }).map(drop)
        }),
        ("database … is locked", |conn| {
            conn.execute("ATTACH ':memory:' AS ?", (SECRET.as_bytes(),))?;
            let tx = conn.transaction()?;
            tx.execute("CREATE TABLE [s3cr3t-value].t(a)", ())?;
            tx.execute("DETACH ? /* 'or' ? */", (SECRET.as_bytes(),)).map(drop)
        }),
        ("unknown database '…'", |conn| {
            let sql = "SELECT cid FROM pragma_table_info('t', ?)";
            conn.prepare(sql)?.into_rows((String::from(SECRET),))?.next().map(drop)
        }),
    ];
    for (expected, run) in failing {
        let left = fail(*run);
        assert!(left.line.contains(expected), "{expected}: {}", left.line);
        let secrets: Vec<_> = left.secrets.iter().filter(|line| !line.contains("CREATE TABLE [")).collect();
        assert_eq!(secrets, Vec::<&String>::new(), "{expected}");
    }
}

fn the_key_of_an_encrypted_database_is_not_shown() {
    let left = fail(|conn| {
        // A SQLite without encryption ignores it; the log has it all the same.
        conn.set_pragma("key", SECRET)?;
        Err(Error::external("see the log"))
    });
    assert_eq!(left.secrets, Vec::<String>::new());
    assert!(!shows_secret(&format!("{:?}", OpenOptions::new().pragma("key", SECRET))));
}
