//! The example `scan`.

use std::ffi::OsStr;

use super::*;

#[test]
fn scan_builds_a_sample_and_removes_it() {
    let directory = tempfile::tempdir().unwrap();
    let sample = |arguments: &[&str]| {
        let mut command = Command::new(program("scan"));
        run(command.args(arguments).envs(["TMPDIR", "TMP", "TEMP"].map(|name| (name, directory.path()))))
    };
    let outcome = sample(&["--rows", "1000", "--json"]);
    let json = parse(&outcome);

    assert_eq!((&json["rows"], &json["sql"]), (&json!(1000), &json!("SELECT * FROM \"t\"")));
    let found = |name: &str, kind: &str| {
        let columns = json["per_column"].as_array().unwrap();
        let column = columns.iter().find(|column| column["name"] == name).unwrap();
        assert_eq!(column[kind], 1000, "{column}");
        (column["min"].clone(), column["max"].clone())
    };
    assert_eq!(found("id", "integer"), (json!(1), json!(1000)));
    for (name, kind) in [("i1", "integer"), ("i2", "integer"), ("r1", "real"), ("r2", "real")] {
        let (min, max) = found(name, kind);
        assert!(min.as_f64() < max.as_f64(), "{name}: {min}, {max}");
    }
    // A blob is X'…' with two digits to the byte.
    for (name, kind, length) in [("s1", "text", 13), ("s2", "text", 35), ("b", "blob", 3 + 2 * 16)] {
        let (min, max) = found(name, kind);
        let (min, max) = (min.as_str().unwrap(), max.as_str().unwrap());
        assert!(min < max && min.len() == length && max.len() == length, "{name}: {min}, {max}");
    }

    let keys =
        ["database", "sql", "mode", "rows", "columns", "seconds", "ns_per_row", "cells_per_second", "per_column"];
    let are_in_order = |text: &str, keys: &[&str]| {
        let places = keys.iter().map(|key| text.find(&format!("\"{key}\":")).unwrap());
        assert!(places.is_sorted(), "{text}");
    };
    are_in_order(&outcome.stdout, &keys);
    assert_eq!(json.as_object().unwrap().len(), keys.len() + 2);
    let (_, native) = outcome.stdout.split_once("\"native\":").unwrap();
    let keys =
        ["mode", "backend", "bytes", "peak_bytes", "blocks", "connection", "bytes_after_close", "blocks_after_close"];
    are_in_order(native, &keys);
    assert_eq!(json["native"].as_object().unwrap().len(), keys.len());
    let (_, connection) = native.split_once("\"connection\":").unwrap();
    let keys =
        ["bytes", "peak_bytes", "blocks", "page_cache_bytes", "schema_bytes", "statement_bytes", "lookaside_slots"];
    are_in_order(connection, &keys);
    assert_eq!(json["native"]["connection"].as_object().unwrap().len(), keys.len());

    // The same on every run.
    assert_eq!(parse(&sample(&["--json", "--rows", "1000"]))["per_column"], json["per_column"]);

    // It was made in there, and nothing is left.
    let path = Path::new(json["database"].as_str().unwrap());
    assert!(path.starts_with(directory.path()), "{}", path.display());
    let left_behind = || fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left_behind(), 0);
    fs::create_dir(path.parent().unwrap()).unwrap();
    assert_eq!(left_behind(), 1);
}

#[test]
fn scan_prints_for_people() {
    let (_directory, path) = database(
        "CREATE TABLE t(n, words);
         INSERT INTO t VALUES (1, 'two' || char(10, 27) || 'lines'), (2.5, 'a text too long to be shown whole'),
                              (9e999, x'000102030405060708090a'), (NULL, NULL);",
    );
    let outcome = scan(&[path.as_os_str()]);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
    let lines: Vec<&str> = outcome.stdout.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], format!("database  {}, 9 kB", path.display()));
    assert_eq!(lines[1..4], ["sql       SELECT * FROM \"t\"", "mode      rows", "rows      4"]);
    assert_eq!(lines[4], "columns   2");
    assert!(lines[5].starts_with("time      ") && lines[6].contains(" ns per row, "), "{}", outcome.stdout);
    assert_eq!(
        lines[7..27],
        [
            "",
            "column  integer  real  text  blob  null  min                      max",
            "n             1     2     0     0     1  1                        Inf",
            "words         0     0     2     1     1  'a text too long to b…'  X'0001020304050607…'",
            "",
            "handles alive      before  during  after",
            "connections             0       1      0",
            "statements              0       1      0",
            "cached statements       0       0      0",
            "rows                    0       1      0",
            "transactions            0       0      0",
            "savepoints              0       0      0",
            "callbacks               0       0      0",
            "blobs                   0       0      0",
            "backups                 0       0      0",
            "sessions                0       0      0",
            "snapshots               0       0      0",
            "watches                 0       0      0",
            "deadlines               0       0      0",
            "",
        ]
    );
    let mode = counting_mode();
    assert!(lines[27].starts_with(&format!("native memory ({mode}) ")), "{}", outcome.stdout);
    let memory: Vec<(&str, Vec<&str>)> = lines[28..]
        .iter()
        .map(|line| line.split_once("  ").unwrap())
        .map(|(what, figures)| (what, figures.split_whitespace().collect()))
        .collect();
    let whats = [
        "during",
        "peak",
        "the connection, during",
        "its peak",
        "its page cache",
        "its schema",
        "its statements",
        "after close",
    ];
    assert_eq!(memory.iter().map(|(what, _)| *what).collect::<Vec<_>>(), whats);
    let figures: Vec<&[&str]> = memory.iter().map(|(_, figures)| &figures[..]).collect();
    if mode != Mode::None {
        assert_eq!(figures[7], ["0", "0"]);
        assert_ne!(figures[0], figures[7]);
    }
    if mode == Mode::Counting {
        assert_eq!(figures[0], figures[2]);
    }
    let outcome = scan(&[path.as_os_str(), OsStr::new("SELECT words FROM t LIMIT 1")]);
    assert!(outcome.stdout.contains(r"  'two\n\u{1b}lines'"), "{}", outcome.stdout);

    let help = scan(&[OsStr::new("--help")]);
    assert_eq!((help.code, &*help.stderr), (Some(0), ""));
    assert!(help.stdout.contains("--json") && help.stdout.contains("--rows"), "{}", help.stdout);
}

#[test]
fn scan_tells_the_memory_of_a_sorter() {
    let (_directory, path) = database("CREATE TABLE t(a)");
    let peak_bytes = |sql: &str| {
        let json = parse(&scan(&[path.as_os_str(), OsStr::new(sql), OsStr::new("--json")]));
        json["native"]["connection"]["peak_bytes"].as_u64()
    };
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i FROM n";
    let sorted = format!("{numbers} ORDER BY i DESC");
    match (peak_bytes(numbers), peak_bytes(&sorted)) {
        (Some(streamed), Some(sorted)) => assert!(sorted > streamed + 100_000, "{streamed}, {sorted}"),
        // Nobody tells one connection's memory from another's.
        figures => assert!(figures == (None, None) && counting_mode() != Mode::Counting, "{figures:?}"),
    }
}

#[test]
fn scan_says_what_is_known_without_finalites_allocator() {
    let (_directory, path) = database("CREATE TABLE t(a); INSERT INTO t VALUES (1)");
    let stock = |arguments: &[&str]| {
        run(Command::new(program("scan")).env("FINALITE_ALLOCATOR", "stock").arg(&path).args(arguments))
    };
    let outcome = stock(&["--json"]);
    let json: Json = serde_json::from_str(&outcome.stdout).unwrap();
    // A system's SQLite may come without statistics.
    let mode = if json["native"]["mode"] == "none" { Mode::None } else { Mode::MemStatus };
    assert!(cfg!(not(feature = "bundled")) || mode == Mode::MemStatus);
    check_memory(&json["native"], mode);
    let outcome = stock(&[]);
    assert!(outcome.stdout.contains(&format!("\nnative memory ({mode}) ")), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("\nthe connection, during     unknown  unknown\n"), "{}", outcome.stdout);
}

#[test]
fn scan_finds_the_extremes_that_sqlite_finds() {
    let (_directory, path) = database(
        "CREATE TABLE numbers(a, b, c, d, e, f);
         -- Above 2^53 a double would take these integers for their neighbours.
         INSERT INTO numbers VALUES
           (9007199254740993, 9007199254740992.0, 9223372036854775807, -9223372036854775808, 9e999, 0.5),
           (9007199254740992.0, 9007199254740993, 9223372036854775808.0, -9223372036854777856.0, -9e999, 0),
           (9007199254740994.0, 9007199254740991, 9223372036854774784.0, -9223372036854775807, 1, -0.5),
           (9007199254740995, 9007199254740990.0, NULL, NULL, NULL, -1);
         CREATE TABLE texts(id INTEGER PRIMARY KEY, a, b, c);
         INSERT INTO texts(a, b, c) VALUES
           ('', x'', 'same first eight bytes'), ('a', x'00', 'same first eight bytes, and longer'),
           ('a' || char(0), x'0000', 'same fir'), ('a' || char(0, 0), x'ff', 'same fi'), ('b', x'fe00', 'same fis'),
           ('B', x'80', 'same fir' || char(0)), ('é', x'7fff', 'same first'), (char(128512), x'ff00', 'same'),
           ('10', NULL, NULL), ('9', NULL, NULL);
         CREATE TABLE mixed(a);
         INSERT INTO mixed VALUES (x'00'), ('text'), (3), (2.5), (NULL), ('Text'), (x''), (-1e300);
         CREATE TABLE nothing_but_null(a, b);
         INSERT INTO nothing_but_null VALUES (NULL, NULL), (NULL, 1);",
    );
    let json = check_scan(&path, Some("SELECT * FROM numbers"), "SELECT * FROM numbers");
    // As SQLite has just said, but in so many words.
    assert_eq!(json["per_column"][0]["max"], 9_007_199_254_740_995_i64);
    assert_eq!(json["per_column"][0]["min"], 9_007_199_254_740_992.0);
    assert_eq!(json["per_column"][1]["max"], 9_007_199_254_740_993_i64);
    assert_eq!((&json["per_column"][4]["min"], &json["per_column"][4]["max"]), (&json!("-Inf"), &json!("Inf")));
    check_scan(&path, Some("SELECT * FROM numbers ORDER BY rowid DESC"), "SELECT * FROM numbers ORDER BY rowid DESC");
    for order in ["a", "b", "c", "a DESC", "b DESC", "c DESC"] {
        let sql = format!("SELECT a, b, c, a AS a, a || c FROM texts ORDER BY {order}");
        check_scan(&path, Some(&sql), &sql);
    }
    for table in ["mixed", "nothing_but_null"] {
        let sql = format!("SELECT * FROM {table}");
        check_scan(&path, Some(&sql), &sql);
    }
}

#[test]
fn scan_chooses_the_table_with_the_most_rows() {
    let (_directory, path) = database(
        r#"CREATE TABLE many(id INTEGER PRIMARY KEY AUTOINCREMENT, a);
           CREATE TABLE few(a);
           CREATE TABLE "we""ird [`name`] 'x'"(a, b, PRIMARY KEY (a)) WITHOUT ROWID;
           CREATE VIEW all_of_them AS SELECT a FROM many UNION ALL SELECT a FROM few;
           CREATE TABLE empty(a);
           INSERT INTO few VALUES (1), (2);
           INSERT INTO many(a) VALUES (1), ('two'), (3);"#,
    );
    check_scan(&path, None, r#"SELECT * FROM "many""#);
    check_scan(&path, Some("SELECT * FROM all_of_them"), "SELECT * FROM all_of_them");
    check_scan(&path, Some("SELECT 1 WHERE 0"), "SELECT 1 WHERE 0");

    let conn = Connection::open(&path).unwrap();
    conn.execute(r#"INSERT INTO "we""ird [`name`] 'x'" VALUES (1, 'x'), ('1', x'31'), (x'31', 1.5), (0.5, NULL)"#, ())
        .unwrap();
    check_scan(&path, None, r#"SELECT * FROM "we""ird [`name`] 'x'""#);

    let (_directory, path) = database("CREATE TABLE empty(a, b)");
    let json = check_scan(&path, None, r#"SELECT * FROM "empty""#);
    assert_eq!((&json["rows"], &json["columns"], &json["ns_per_row"]), (&json!(0), &json!(2), &Json::Null));
    let outcome = scan(&[path.as_os_str()]);
    assert!(outcome.stdout.contains("\nspeed     no rows, no speed\n"), "{}", outcome.stdout);
}

#[test]
fn scan_reads_utf16_and_sorts_it_as_sqlite_does() {
    let mut least = Vec::new();
    for encoding in ["UTF-8", "UTF-16le", "UTF-16be"] {
        let (_directory, path) = database(&format!(
            "PRAGMA encoding = '{encoding}';
             CREATE TABLE t(a, b);
             INSERT INTO t VALUES ('b', 'same'), ('ā', 'same start, a'), (char(0xe000), 'same start, ā'), ('😀', ''),
                                  ('ab', 'same start, 😀'), ('', 'same' || char(0)), (NULL, 5);"
        ));
        check_scan(&path, None, "SELECT * FROM \"t\"");
        for order in ["a", "a DESC", "b", "b DESC"] {
            let sql = format!("SELECT * FROM t WHERE a <> '' ORDER BY {order}");
            let json = check_scan(&path, Some(&sql), &sql);
            least.push([json["per_column"][0]["min"].clone(), json["per_column"][0]["max"].clone()]);
        }
    }
    // The three encodings have three orders: the comparison above is one.
    least.dedup();
    assert_eq!(least, [[json!("ab"), json!("😀")], [json!("\u{e000}"), json!("b")], [json!("ab"), json!("\u{e000}")]]);
}

#[test]
fn scan_reads_text_that_is_not_utf8() {
    let (_directory, path) = database(
        "CREATE TABLE t(a);
         INSERT INTO t VALUES (CAST(x'61ff62' AS TEXT)), (CAST(x'fffe' AS TEXT)), (CAST(x'6180' AS TEXT)), ('z');",
    );
    let json = check_scan(&path, None, "SELECT * FROM \"t\"");
    assert_eq!(json["per_column"][0]["min"], "a\u{fffd}");
    let outcome = scan(&[path.as_os_str()]);
    assert!(outcome.code == Some(0) && outcome.stdout.contains("'a\u{fffd}'  '\u{fffd}\u{fffd}'"), "{outcome:?}");
}

#[test]
fn scan_reads_full_text_tables() {
    let (_directory, path) = database(
        "CREATE VIRTUAL TABLE docs USING fts5(title, body);
         INSERT INTO docs VALUES ('first', 'a quick fox'), ('second', 'a lazy dog'), ('third', NULL);
         CREATE TABLE settings(name, value);
         INSERT INTO settings VALUES ('a', 1);",
    );
    check_scan(&path, None, "SELECT * FROM \"docs\"");
    let sql = "SELECT title, body, rank FROM docs WHERE docs MATCH 'fox OR dog' ORDER BY rank";
    check_scan(&path, Some(sql), sql);
}

#[test]
fn scan_reads_what_is_only_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    let writer = OpenOptions::new().pragma("journal_mode", "wal").open(&path).unwrap();
    writer.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2); BEGIN; INSERT INTO t VALUES (3)").unwrap();
    let json = check_scan(&path, None, "SELECT * FROM \"t\"");
    assert_eq!(json["rows"], 2);
    writer.execute("COMMIT", ()).unwrap();
    assert_eq!(check_scan(&path, None, "SELECT * FROM \"t\"")["rows"], 3);
}

#[test]
fn scan_reads_the_same_in_every_mode() {
    let (_directory, path) = database(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, mixed, nulls TEXT, words TEXT, bytes BLOB, number REAL);
         INSERT INTO t VALUES (1, 1, NULL, 'one', x'00', 0.5), (2, 'two', NULL, '', x'', NULL),
                              (3, 3.5, NULL, CAST(x'ff' AS TEXT), NULL, -9e999), (4, NULL, NULL, 'four', x'04', 4);",
    );
    let modes = [("rows", "1"), ("for-each", "1"), ("columns", "1"), ("pages", "1"), ("columns", "2"), ("pages", "2")];
    let summaries = modes.map(|(mode, threads)| {
        let path = path.to_str().unwrap();
        let json = parse(&scan(&[path, "--json", "--mode", mode, "--threads", threads].map(OsStr::new)));
        assert_eq!(json["mode"], mode);
        json["per_column"].clone()
    });
    assert_eq!(summaries[0][1]["text"], 1);
    assert!(summaries.iter().all(|summary| *summary == summaries[0]), "{summaries:?}");
    let outcome = scan(&[path.as_os_str(), "--mode".as_ref(), "rows".as_ref(), "--threads".as_ref(), "2".as_ref()]);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(2), "error: --threads is for the modes columns and pages\n"));
    let outcome = scan(&[path.as_os_str(), "--mode".as_ref(), "pages".as_ref()]);
    assert!(outcome.stdout.contains("\nmode      pages, by reading the table's pages: "), "{}", outcome.stdout);
    let outcome = scan(&[path.as_os_str(), "--mode".as_ref(), "all".as_ref()]);
    let error = "error: --mode is rows, for-each, columns or pages, not all\n";
    assert_eq!((outcome.code, &*outcome.stderr), (Some(2), error));
}

#[test]
fn scan_takes_any_path_for_a_path() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["file:test.db?mode=memory", "a b#c%41?.db", "--json", "ünï.db"] {
        if cfg!(windows) && name.contains([':', '?']) {
            continue;
        }
        let conn = Connection::open(directory.path().join(name)).unwrap();
        conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
        conn.close().unwrap();
        let outcome = run(Command::new(program("scan")).current_dir(directory.path()).args(["--json", "--", name]));
        let json = parse(&outcome);
        assert_eq!((&json["database"], &json["rows"]), (&json!(name), &json!(1)));
    }
}

#[test]
fn scan_reads_what_the_shell_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shell.db");
    let script = "CREATE TABLE people(name TEXT, born INTEGER, height REAL, photo BLOB);
                  INSERT INTO people VALUES ('Ada', 1815, 1.65, x'00ff'), ('Grace', 1906, NULL, NULL);";
    match Command::new("sqlite3").arg(&path).arg(script).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => return eprintln!("not tested, there is no sqlite3 here: {error}"),
    }
    let json = check_scan(&path, None, "SELECT * FROM \"people\"");
    assert_eq!(json["per_column"][0]["max"], "Grace");
}

/// A failure of `scan`: code 2, one line on stderr, nothing on stdout. Returns the line.
fn check_failure(outcome: &Outcome) -> &str {
    assert_eq!((outcome.code, &*outcome.stdout), (Some(2), ""), "{outcome:?}");
    let line = outcome.stderr.strip_suffix('\n').unwrap();
    assert!(!line.contains(char::is_control), "{line:?}");
    line.strip_prefix("error: ").unwrap()
}

#[test]
fn scan_says_what_is_wrong() {
    let (directory, path) = database("CREATE TABLE t(a); INSERT INTO t VALUES (1)");
    let (_other_directory, without_table) = database("PRAGMA user_version = 1");
    let text_file = directory.path().join("text.txt");
    fs::write(&text_file, "This is a text and no database. ".repeat(100)).unwrap();

    let with = |path: &Path, more: &[&str]| {
        let outcome = run(Command::new(program("scan")).arg(path).args(more));
        check_failure(&outcome).to_owned()
    };
    let missing = with(&directory.path().join("missing.db"), &[]);
    assert!(missing.starts_with("cannot read ") && missing.contains("missing.db: unable to open"), "{missing}");
    assert_eq!(with(directory.path(), &[]), format!("cannot read {}: it is a directory", directory.path().display()));
    assert_eq!(with(&text_file, &[]), format!("cannot read {}: file is not a database", text_file.display()));
    assert_eq!(with(&without_table, &[]), "there is no table in the database: nothing to scan");
    assert_eq!(with(Path::new(""), &["SELECT 1"]), "the path of the database is empty");
    for json in [&[][..], &["--json"]] {
        let with_sql = |sql| with(&path, &[&[sql], json].concat());
        assert!(with_sql("SELEC 1").starts_with("near \"SELEC\": syntax error"));
        assert!(with_sql("SELECT 'no\nend").starts_with("unrecognized token"));
        assert!(with_sql("SELECT b FROM t").starts_with("no such column: b"));
        assert!(with_sql("SELECT 1; SELECT 2").starts_with("unexpected SQL after the first statement"));
        assert!(with_sql("SELECT ?").starts_with("the SQL has 1 parameter"));
        assert!(with_sql("").starts_with("the SQL is empty"));
        assert!(with_sql("CREATE TABLE u(a)").starts_with("the statement returns no rows"));
        assert!(with_sql("INSERT INTO t VALUES (2) RETURNING a").starts_with("attempt to write a readonly database"));
        // It fails after it has returned rows.
        let late = "SELECT 1 UNION ALL SELECT abs(-9223372036854775808)";
        assert!(with_sql(late).starts_with("integer overflow"));
    }
    assert_eq!(with(&path, &["SELECT 1", "more"]), "too many arguments, from more on, see --help");
    assert_eq!(with(&path, &["--jsn"]), "unknown option --jsn, see --help");
    assert_eq!(with(&path, &["--rows", "5"]), "--rows is for the sample, and a DATABASE is given");

    let without_path = |words: &[&str]| check_failure(&run(Command::new(program("scan")).args(words))).to_owned();
    assert_eq!(without_path(&["--rows"]), "--rows needs a number");
    assert_eq!(without_path(&["--rows", "-5"]), "--rows needs a number up to 4294967295, not -5");
    assert_eq!(check_scan(&path, None, "SELECT * FROM \"t\"")["rows"], 1);
}

/// SQLite waits there for somebody who writes.
#[cfg(unix)]
#[test]
fn scan_does_not_open_a_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&*pipe, Path::new("/dev/null")] {
        let outcome = scan(&[path.as_os_str()]);
        assert_eq!(check_failure(&outcome), format!("cannot read {}: it is no regular file", path.display()));
    }
}

#[test]
fn scan_passes_over_a_table_that_no_sql_can_name() {
    let misnamed = "CREATE TABLE t(c);
         INSERT INTO t VALUES (1), (2);
         PRAGMA writable_schema = on;
         UPDATE sqlite_schema SET name = CAST(x'74ff' AS TEXT), tbl_name = CAST(x'74ff' AS TEXT),
             sql = 'CREATE TABLE \"' || CAST(x'74ff' AS TEXT) || '\"(c)';";
    let (_directory, path) = database(&format!("{misnamed} CREATE TABLE ok(a); INSERT INTO ok VALUES (1)"));
    assert_eq!(check_scan(&path, None, "SELECT * FROM \"ok\"")["rows"], 1);
    let (_directory, alone) = database(misnamed);
    assert_eq!(check_failure(&scan(&[alone.as_os_str()])), "the table's name is not UTF-8, as SQL has to be");
}

#[test]
fn scan_stops_quietly_when_nobody_reads() {
    let mut child = Command::new(program("scan"))
        .args(["--rows", "10"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
}

#[cfg(unix)]
mod without_permission {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    use super::*;

    /// Somebody who is not the superuser, for whom permissions count.
    struct Somebody {
        directory: TempDir,
        scan: PathBuf,
        other_user: Option<u32>,
    }

    impl Somebody {
        /// `None`, with a word why, where another user cannot be had.
        fn find() -> Option<Self> {
            const NOBODY: u32 = 65534;
            let directory = tempfile::tempdir().unwrap();
            let is_superuser = directory.path().metadata().unwrap().uid() == 0;
            if !is_superuser {
                return Some(Self { directory, scan: program("scan"), other_user: None });
            }
            set_mode(directory.path(), 0o755);
            let scan = directory.path().join("scan");
            // Not `fs::copy`: a file that this process still writes, or a fork of it, cannot be run.
            let copied = Command::new("cp").arg(program("scan")).arg(&scan).status().unwrap();
            assert!(copied.success());
            set_mode(&scan, 0o755);
            let somebody = Self { directory, scan, other_user: Some(NOBODY) };
            match somebody.command(&somebody.scan).arg("--help").output() {
                Ok(_) => Some(somebody),
                Err(error) => {
                    eprintln!("not tested, no other user can be had here: {error}");
                    None
                }
            }
        }

        fn command(&self, program: &Path) -> Command {
            let mut command = Command::new(program);
            if let Some(user) = self.other_user {
                command.uid(user).gid(user);
            }
            command
        }
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn scan_says_that_a_file_may_not_be_read() {
        let Some(somebody) = Somebody::find() else { return };
        let (directory, path) = database("CREATE TABLE t(a)");
        set_mode(directory.path(), 0o755);
        let scan = || run(somebody.command(&somebody.scan).arg(&path).arg("--json"));
        set_mode(&path, 0o444);
        parse(&scan());
        set_mode(&path, 0o000);
        let outcome = scan();
        let line = check_failure(&outcome);
        assert!(line.starts_with(&format!("cannot read {}: ", path.display())), "{line}");
        assert!(line.contains("Permission denied"), "{line}");
    }

    #[test]
    fn scan_reads_a_wal_database_in_a_directory_that_is_not_writable() {
        let Some(somebody) = Somebody::find() else { return };
        let directory = somebody.directory.path().join("what? 100%41 # read-only");
        fs::create_dir(&directory).unwrap();
        let path = directory.join("file:wal.db");
        let conn = OpenOptions::new().pragma("journal_mode", "wal").open(&path).unwrap();
        conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
        conn.close().unwrap();
        set_mode(&path, 0o444);
        set_mode(&directory, 0o555);

        // The directory is what the test says it is.
        let touch = somebody.command(Path::new("touch")).arg(directory.join("x")).output().unwrap();
        assert!(!touch.status.success());
        let json = parse(&run(somebody.command(&somebody.scan).arg(&path).arg("--json")));
        assert_eq!((&json["rows"], &json["database"]), (&json!(2), &json!(path.to_str().unwrap())));
        let mut relative = somebody.command(&somebody.scan);
        let json = parse(&run(relative.current_dir(&directory).args(["file:wal.db", "--json"])));
        assert_eq!(json["rows"], 2);
        set_mode(&directory, 0o755);
    }
}
