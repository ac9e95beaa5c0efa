//! The examples, run as programs: what they print, what they leave behind, and what they say when they fail. Each sends
//! what finalite warns of to stderr, which has to be empty where nothing is wrong.
//!
//! They are looked for beside this test program, where `cargo test` builds them. (`cargo test --test examples` alone
//! does not: `cargo build --examples` goes before.)

mod scan;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use finalite::handles::HandleCounts;
use finalite::memory::{self, Mode};
use finalite::{Connection, OpenOptions, Row, ValueRef};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// The path of an example's program.
fn program(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let path =
        this.parent().unwrap().with_file_name("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is not there: run `cargo build --examples` first", path.display());
    path
}

/// What a program did.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(command: &mut Command) -> Outcome {
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn scan(arguments: &[&OsStr]) -> Outcome {
    run(Command::new(program("scan")).args(arguments))
}

/// The JSON of a scan that succeeds.
fn parse(outcome: &Outcome) -> Json {
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{outcome:?}");
    assert_eq!(outcome.stdout.lines().count(), 1, "{outcome:?}");
    let json: Json = serde_json::from_str(&outcome.stdout).unwrap();
    check_figures(&json);
    check_handles(&json);
    check_memory(&json["native"], counting_mode());
    json
}

/// What must fit together in every result.
fn check_figures(json: &Json) {
    let rows = json["rows"].as_u64().unwrap();
    let columns = json["per_column"].as_array().unwrap();
    assert_eq!(json["columns"], columns.len());
    for column in columns {
        let of_each_type = ["integer", "real", "text", "blob", "null"].map(|kind| column[kind].as_u64().unwrap());
        assert_eq!(of_each_type.iter().sum::<u64>(), rows, "{column}");
    }
    let seconds = json["seconds"].as_f64().unwrap();
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
    match json["ns_per_row"].as_f64() {
        Some(ns_per_row) => {
            assert!(close(ns_per_row, seconds * 1e9 / rows as f64), "{json}");
            let cells = rows as f64 * columns.len() as f64;
            assert!(close(json["cells_per_second"].as_f64().unwrap(), cells / seconds), "{json}");
        }
        None => assert_eq!((rows, &json["ns_per_row"]), (0, &Json::Null)),
    }
}

fn check_handles(json: &Json) {
    let handles = &json["handles"];
    assert!(is_nothing_alive(&handles["before"]), "{handles}");
    assert!(is_nothing_alive(&handles["after"]), "{handles}");
    // The same question, where the answer must be no.
    assert!(!is_nothing_alive(&handles["during"]), "{handles}");
    // Row by row the rows are open; a scan in one call keeps no statement.
    let by_row = u64::from(json["mode"] == "rows");
    let statement_bytes = json["native"]["connection"]["statement_bytes"].as_u64();
    assert!(by_row == 0 || statement_bytes > Some(0), "{json}");
    let expected = json!({
        "connections": 1, "statements": by_row, "cached_statements": 0, "rows": by_row, "transactions": 0,
        "savepoints": 0, "callbacks": 0, "blobs": 0, "backups": 0, "sessions": 0, "snapshots": 0, "watches": 0,
        "deadlines": 0,
    });
    assert_eq!(handles["during"], expected);
}

/// Whether each field of `HandleCounts` is there, and zero.
fn is_nothing_alive(counts: &Json) -> bool {
    let debug = format!("{:?}", HandleCounts::default());
    let (_, fields) = debug.split_once('{').unwrap();
    let names: Vec<&str> = fields.split(',').map(|field| field.split(':').next().unwrap().trim()).collect();
    let counts = counts.as_object().unwrap();
    assert_eq!(names.len(), counts.len(), "{counts:?} is not {names:?}");
    names.iter().all(|name| counts[*name] == 0)
}

/// Who counts SQLite's memory here, and so in the examples too.
fn counting_mode() -> Mode {
    Connection::open_in_memory().unwrap();
    memory::mode()
}

fn check_memory(native: &Json, mode: Mode) {
    assert_eq!((&native["mode"], &native["backend"]), (&json!(mode.name()), &json!("system")), "{native}");
    let left = [&native["bytes_after_close"], &native["blocks_after_close"]];
    let connection = &native["connection"];
    let during = [&native["bytes"], &native["peak_bytes"], &native["blocks"]];
    let of_connection = [&connection["bytes"], &connection["peak_bytes"], &connection["blocks"]];
    // The same questions during the scan, where the answer must not be 0.
    if mode == Mode::None {
        assert!(during.into_iter().chain(left).all(Json::is_null), "{native}");
    } else {
        assert_eq!(left, [0, 0], "{native}");
        assert!(during.iter().all(|figure| figure.as_u64() > Some(0)), "{native}");
        assert!(native["peak_bytes"].as_u64() >= native["bytes"].as_u64(), "{native}");
    }
    if mode == Mode::Counting {
        // There is one connection, and it is all that is held.
        assert_eq!([of_connection[0], of_connection[2]], [during[0], during[2]], "{native}");
        assert!(connection["peak_bytes"].as_u64() >= connection["bytes"].as_u64(), "{native}");
    } else {
        assert!(of_connection.into_iter().all(Json::is_null), "{native}");
    }
    for part in ["page_cache_bytes", "schema_bytes", "statement_bytes", "lookaside_slots"] {
        assert!(connection[part].is_u64(), "{part}: {native}");
    }
}

/// Scans and compares all that the summary says with what SQLite says. `None`: the default query, which must be this.
fn check_scan(database: &Path, sql: Option<&str>, equals: &str) -> Json {
    let mut arguments = vec![database.as_os_str()];
    arguments.extend(sql.map(OsStr::new));
    arguments.push(OsStr::new("--json"));
    let json = parse(&scan(&arguments));
    assert_eq!(json["sql"], equals);
    assert_eq!(json["database"], *database.to_string_lossy());

    let conn = OpenOptions::new().read_only(true).open(database).unwrap();
    let statement = conn.prepare(equals).unwrap();
    let names: Vec<&str> = statement.column_names().unwrap().collect();
    let columns = json["per_column"].as_array().unwrap();
    assert_eq!(columns.iter().map(|column| column["name"].as_str().unwrap()).collect::<Vec<_>>(), names);
    let aliases: Vec<String> = (0..names.len()).map(|column| format!("c{column}")).collect();
    let query = format!("WITH q({}) AS ({equals})", aliases.join(", "));
    assert_eq!(json["rows"], conn.query_one::<u64>(&format!("{query} SELECT count(*) FROM q"), ()).unwrap());
    for (alias, column) in aliases.iter().zip(columns) {
        let counts = ["integer", "real", "text", "blob", "null"]
            .map(|kind| format!("count(*) FILTER (WHERE typeof({alias}) = '{kind}')"))
            .join(", ");
        let sql = format!("{query} SELECT {counts}, min({alias} COLLATE BINARY), max({alias} COLLATE BINARY) FROM q");
        let expected = conn.query_row(&sql, (), |row| Ok(expected_column(&column["name"], row))).unwrap();
        assert_eq!(*column, expected, "{alias} of {equals}");
    }
    json
}

fn expected_column(name: &Json, row: Row<'_>) -> Json {
    let count = |index| row.get::<u64>(index).unwrap();
    json!({
        "name": name, "integer": count(0), "real": count(1), "text": count(2), "blob": count(3), "null": count(4),
        "min": expected_value(row.value(5).unwrap()), "max": expected_value(row.value(6).unwrap()),
    })
}

fn expected_value(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(value) => value.into(),
        // Through text, as the other side: reading a number may be off by its last bit.
        ValueRef::Real(value) if value.is_finite() => serde_json::from_str(&Json::from(value).to_string()).unwrap(),
        ValueRef::Real(value) => (if value > 0.0 { "Inf" } else { "-Inf" }).into(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into(),
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("X'{hex}'").into()
        }
    }
}

/// A directory with a database made by this script.
fn database(script: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(script).unwrap();
    conn.close().unwrap();
    (directory, path)
}

#[test]
fn todo_keeps_a_list() {
    let directory = tempfile::tempdir().unwrap();
    let todo = |words: &[&str]| run(Command::new(program("todo")).current_dir(directory.path()).args(words));
    let ok = |outcome: Outcome| {
        assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{outcome:?}");
        outcome.stdout
    };
    let failure = |outcome: Outcome| {
        assert_eq!((outcome.code, &*outcome.stdout), (Some(1), ""), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        outcome.stderr
    };

    // Looking makes no file.
    assert!(failure(todo(&["list"])).contains("todo.db"));
    assert!(!directory.path().join("todo.db").exists());

    assert_eq!(ok(todo(&["add", "Buy", "milk", "--due", "2999-12-31"])), "added as number 1\n");
    assert_eq!(ok(todo(&["add", "--priority", "high", "'; DROP TABLE task; --"])), "added as number 2\n");
    assert_eq!(ok(todo(&["add", "--due", "2000-01-01", "Sweep", "--priority", "low"])), "added as number 3\n");
    assert_eq!(ok(todo(&["add", "d\u{fc}ne", "--due", "tomorrow"])), "added as number 4\n");
    let due = "   3 [-] Sweep (due 2000-01-01)\n";
    let list = ok(todo(&["list"]));
    let lines: Vec<&str> = list.lines().collect();
    let [sweep, soon, milk, no_date] = lines[..] else { panic!("{list}") };
    assert_eq!(format!("{sweep}\n"), due);
    assert!(soon.starts_with("   4 [ ] d\u{fc}ne (due 2"), "{soon}");
    assert_eq!([milk, no_date], ["   1 [ ] Buy milk (due 2999-12-31)", "   2 [!] '; DROP TABLE task; --"]);

    // On the same file again.
    assert_eq!(ok(todo(&["due"])), due);
    assert_eq!(ok(todo(&["due", "2001-01-01"])), due);
    assert_eq!(ok(todo(&["due", "2999-12-31"])), format!("{due}{soon}\n{milk}\n"));
    assert_eq!(ok(todo(&["done", "3", "1"])), "");
    assert_eq!(ok(todo(&["due", "2999-12-31"])), format!("{soon}\n"));
    let list = ok(todo(&["list"]));
    let done = "   3 [x] Sweep (due 2000-01-01)\n   1 [x] Buy milk (due 2999-12-31)\n";
    assert_eq!(list, format!("{soon}\n{no_date}\n{done}"));

    // All or none.
    assert_eq!(failure(todo(&["done", "2", "7"])), "error: there is no task 7: nothing was changed\n");
    assert_eq!(failure(todo(&["add", "x", "--due", "soon"])).split(" is not ").next(), Some("error: soon"));
    assert_eq!(ok(todo(&["list"])), list);

    assert_eq!(ok(todo(&["--file", "other.db", "add", "x"])), "added as number 1\n");
    assert_eq!(ok(todo(&["list", "--file", "other.db"])), "   1 [ ] x\n");
    for help in [&[][..], &["help"]] {
        assert!(ok(todo(help)).starts_with("Usage: todo"));
    }
    for words in [
        &["frobnicate"][..],
        &["add"],
        &["list", "x"],
        &["--file"],
        &["add", "x", "--priority", "none"],
        &["due", "x", "y"],
    ] {
        failure(todo(words));
    }

    // The log is folded into the file when the program closes it, and somebody else's database gets no table.
    let conn = Connection::open(directory.path().join("todo.db")).unwrap();
    assert_eq!(conn.pragma::<String>("journal_mode").unwrap(), "wal");
    assert_eq!(conn.pragma::<i64>("user_version").unwrap(), 3);
    let done = "SELECT count(*) FROM task WHERE done > datetime('now', '-1 hour') AND date(done) = substr(done, 1, 10)";
    assert_eq!(conn.query_one::<i64>(done, ()).unwrap(), 2);
    conn.set_pragma("user_version", 4).unwrap();
    conn.close().unwrap();
    let mut files: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["other.db", "todo.db"]);
    assert!(failure(todo(&["list"])).contains("version 4"));
    let (_directory, path) = database("CREATE TABLE t(a)");
    assert!(failure(todo(&["--file", path.to_str().unwrap(), "add", "x"])).contains("no to-do list"));
    let conn = Connection::open(&path).unwrap();
    assert_eq!(conn.query_all::<String>("SELECT name FROM sqlite_schema", ()).unwrap(), ["t"]);
}

/// A list of the first version, with its table alone, is brought up to date.
#[test]
fn todo_migrates_a_list_of_an_older_version() {
    let (_directory, path) = database(
        "CREATE TABLE task(id INTEGER PRIMARY KEY, title TEXT NOT NULL, done TEXT) STRICT;
         INSERT INTO task(title) VALUES ('old'); PRAGMA user_version = 1",
    );
    let outcome = run(Command::new(program("todo")).arg("--file").arg(&path).arg("list"));
    assert_eq!((outcome.code, &*outcome.stdout), (Some(0), "   1 [ ] old\n"), "{outcome:?}");
    let conn = Connection::open(&path).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM finalite_migrations", ()).unwrap(), 3);
}

#[test]
fn bulk_insert_prints_three_ways() {
    let bulk_insert = |words: &[&str]| run(Command::new(program("bulk_insert")).args(words));
    let outcome = bulk_insert(&["1000"]);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{outcome:?}");
    let lines: Vec<Vec<&str>> = outcome.stdout.lines().map(|line| line.split_whitespace().rev().collect()).collect();
    assert_eq!(lines.len(), 4, "{}", outcome.stdout);
    for line in &lines[1..] {
        let [per_second, _seconds, rows] = line[..3] else { panic!("{line:?}") };
        assert!(per_second.parse::<u64>().unwrap() > 0 && rows == "1000", "{line:?}");
    }
    for words in [&["x"][..], &["0"], &["-1"], &["1", "2"]] {
        let outcome = bulk_insert(words);
        assert_eq!((outcome.code, &*outcome.stdout), (Some(2), ""), "{outcome:?}");
        assert_eq!(outcome.stderr, "usage: bulk_insert [ROWS]\n");
    }
}

#[test]
fn bulk_insert_prints_nothing_before_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = ["TMPDIR", "TMP", "TEMP"].map(|name| (name, directory.path().join("nowhere")));
    let outcome = run(Command::new(program("bulk_insert")).arg("5").envs(nowhere));
    assert_eq!((outcome.code, &*outcome.stdout), (Some(1), ""), "{outcome:?}");
    assert!(outcome.stderr.starts_with("error: ") && outcome.stderr.lines().count() == 1, "{outcome:?}");
}

#[test]
fn memory_finds_what_leaks() {
    let source = include_str!("../../examples/memory.rs");
    let line_of = |marker: &str| {
        let lines: Vec<usize> =
            (1..).zip(source.lines()).filter(|(_, l)| l.ends_with(marker)).map(|(n, _)| n).collect();
        let [line] = lines[..] else { panic!("{marker} is on lines {lines:?}") };
        Path::new("examples").join(format!("memory.rs:{line}:")).display().to_string()
    };
    let cache = line_of("// leak: the cache");
    let forgotten = line_of("// leak: forgotten");
    let guide = include_str!("../../docs/memory.md");
    assert!([&cache, &forgotten].iter().all(|site| guide.contains(&site.replace('\\', "/"))), "{cache} {forgotten}");

    let outcome = run(&mut Command::new(program("memory")));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    // What it forgets is warned of: so nothing on stderr, as every other example is held to, is not nobody listening.
    let warnings: Vec<&str> = outcome.stderr.lines().collect();
    assert_eq!(warnings.len(), 6, "{outcome:?}");
    for warning in warnings {
        assert!(warning.starts_with("ERROR finalite::leak: a forgotten handle"), "{warning}");
        assert!(warning.contains(&forgotten), "{warning}");
    }
    let stdout = &*outcome.stdout;
    let parts: Vec<&str> = ["\n2. ", "\n3. ", "\n4. ", "\n5. "].iter().fold(vec![stdout], |mut parts, heading| {
        let (before, after) = parts.pop().unwrap().split_once(heading).unwrap();
        parts.extend([before, after]);
        parts
    });
    let [growth, sites, one_request, without_cache, whole_run] = parts[..] else { unreachable!() };

    // The figures are found at these places of the lines that begin so.
    let figures = |part: &str, beginning: &str| -> Vec<u64> {
        let line = part.lines().find(|line| line.starts_with(beginning)).unwrap();
        let numbers = line[beginning.len()..].split(|c: char| !c.is_ascii_digit());
        numbers.filter_map(|number| number.parse().ok()).collect()
    };
    let [start, some, more] =
        ["at the start", "after 200 requests", "after 400 requests"].map(|when| figures(growth, when));
    let [bytes, statements] = [0, 5];
    assert!(start[bytes] + 300_000 < some[bytes] && some[bytes] + 300_000 < more[bytes], "{growth}");
    assert_eq!([start[statements], some[statements], more[statements]], [0, 202, 404], "{growth}");

    // Both leaks, each in one line, and no other site.
    let lines = |part: &str| -> Vec<String> {
        part.lines().filter(|line| line.contains("prepared at")).map(str::to_owned).collect()
    };
    let [of_cache, of_forgotten] = &lines(sites)[..] else { panic!("{sites}") };
    assert!(of_cache.starts_with("  599 statements, ") && of_cache.contains(&cache), "{sites}");
    assert!(of_cache.contains("SELECT total(amount) FROM payments WHERE account = "), "{sites}");
    assert!(figures(sites, "  599 statements")[0] > 599 * 1000, "{sites}");
    assert!(of_forgotten.starts_with("    5 statements, ") && of_forgotten.contains(&forgotten), "{sites}");

    assert!(one_request.contains("statements: 604 before, 606 after"), "{one_request}");
    for site in [&cache, &forgotten] {
        let opened_at = format!("opened at {site}");
        assert!(one_request.lines().any(|l| l.starts_with("  open: ") && l.contains(&opened_at)), "{one_request}");
    }

    // Each leak is told apart from the other once it is gone.
    let [of_forgotten] = &lines(without_cache)[..] else { panic!("{without_cache}") };
    assert!(of_forgotten.starts_with("    6 statements, ") && of_forgotten.contains(&forgotten), "{without_cache}");
    assert!(figures(without_cache, "cache cleared")[bytes] < some[bytes], "{without_cache}");

    let told: Vec<&str> = whole_run.lines().filter(|line| line.starts_with("  forgotten: ")).collect();
    assert!(told.len() == 1 && told[0].starts_with("  forgotten: 6 times statement "), "{whole_run}");
    assert!(told[0].contains(&forgotten) && !whole_run.contains(&cache), "{whole_run}");
    assert!(!whole_run.contains("native bytes:"), "{whole_run}");
    assert_eq!(whole_run.lines().last(), Some("after close: 0 bytes, 0 blocks"));
}

#[test]
fn a_large_value_is_streamed_in_and_out() {
    let outcome = run(Command::new(program("blob_stream")).arg("5"));
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{}", outcome.stdout);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines[0], "in   [#########################] 100 %  5 of 5 MB");
    assert_eq!(lines[1], "out  [#########################] 100 %  5 of 5 MB");
    assert!(lines[2].starts_with("checksum "), "{lines:?}");
    let peak = lines[3].strip_prefix("SQLite's memory never exceeded ").unwrap().strip_suffix(" MB").unwrap();
    assert!(peak.parse::<u64>().unwrap() < 5, "{lines:?}");
}

#[test]
fn csv_files_are_tables() {
    let outcome = run(&mut Command::new(program("csv_table")));
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{outcome:?}");
    assert!(outcome.stdout.contains("1009650"), "{outcome:?}");
    let directory = TempDir::new().unwrap();
    let path = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (sales, cities) = (path("sales.csv", "city,price\nO,7\nY,8\nO,1\n"), path("a b.csv", "id,name\nO,Oslo\n"));
    let sql = "SELECT name, sum(price) FROM sales JOIN \"a b\" ON id = city GROUP BY 1";
    let outcome = run(Command::new(program("csv_table")).arg(sql).args([&sales, &cities]));
    assert!(outcome.code == Some(0) && outcome.stdout.contains("Oslo") && outcome.stdout.contains('8'), "{outcome:?}");
    let outcome = run(Command::new(program("csv_table")).arg(sql).arg(directory.path().join("missing.csv")));
    assert!(outcome.code == Some(1) && outcome.stderr.contains("SQLITE_CANTOPEN"), "{outcome:?}");
}

#[test]
fn a_csv_file_goes_in_and_out_with_its_types() {
    let outcome = run(Command::new(program("csv")).arg("700"));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("700 of 700 rows"), "{outcome:?}");

    let (directory, database) =
        database("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, size REAL, data BLOB, n NUMERIC)");
    let file = directory.path().join("in.csv");
    let csv = |command: &[&OsStr]| run(Command::new(program("csv")).args(command));
    let import = |text: &str| {
        std::fs::write(&file, text).unwrap();
        csv(&["import".as_ref(), file.as_ref(), database.as_ref(), "t".as_ref()])
    };
    let text = "id,name,size,data,n\n1,\"a \"\"b\"\"\nc\",1.5,00ff,7\n2,,2.0,,0.5\n";
    let outcome = import(text);
    assert!(outcome.code == Some(0) && outcome.stdout.contains("2 rows imported"), "{outcome:?}");
    let conn = Connection::open(&database).unwrap();
    let types: Vec<String> = conn
        .query_all("SELECT typeof(name) || ' ' || typeof(size) || ' ' || typeof(data) || ' ' || typeof(n) FROM t", ())
        .unwrap();
    assert_eq!(types, ["text real blob integer", "null real null real"]);
    let out = directory.path().join("out.csv");
    assert!(csv(&["export".as_ref(), database.as_ref(), "t".as_ref(), out.as_ref()]).code == Some(0));
    assert_eq!(std::fs::read_to_string(out).unwrap(), text);

    for (text, says) in [
        ("id,name,size\n3,x,1.0\n4,x,tall\n", "line 3: column size: no REAL"),
        ("id,data\n3,0g\n", "line 2: column data: no BLOB"),
        ("id,colour\n3,red\n", "t has no column colour"),
        ("id,name\n3,x\n1,y\n", "line 3: UNIQUE constraint failed: t.id"),
    ] {
        let outcome = import(text);
        assert!(outcome.code == Some(1) && outcome.stderr.contains(says), "{outcome:?}");
    }
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 2, "all of a file, or none of it");
}

#[test]
fn a_database_in_use_is_copied() {
    let outcome = run(&mut Command::new(program("backup")));
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{}", outcome.stdout);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "25 %, begun again 0 times",
            "25 %, begun again 1 time",
            "50 %, begun again 1 time",
            "75 %, begun again 1 time",
            "100 %, begun again 1 time",
            "the copy has 1001 notes",
            "the file without free pages is smaller: true",
            "in memory: 1001 notes",
        ]
    );
}

#[test]
fn functions_are_called_by_sql() {
    let outcome = run(&mut Command::new(program("functions")));
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{}", outcome.stdout);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "by name        Bo Ek, ZOË Day, åke ek, Åsa Öberg",
            "named Ek       åe, BE",
            "zoë day runs   true",
            "mean           60.457",
            "root of max    8",
            "spread         [0, 2, 5, 6]",
            "error          function regexp: found unclosed character class",
        ]
    );
}

#[test]
fn a_watch_follows_what_others_write() {
    let outcome = run(&mut Command::new(program("watch")));
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{}", outcome.stdout);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let expected = ["watching sale", "total 350", "total 0", "others wrote: true", "total 7", "closed cleanly: true"];
    assert_eq!(lines, expected);
}

#[test]
fn faults_of_files_lose_nothing() {
    let outcome = run(&mut Command::new(program("fault_vfs")));
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{}", outcome.stdout);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let [failed, lost] = lines[..] else { panic!("{lines:?}") };
    let failed = failed.strip_suffix(" writes failed, and each error was reported").unwrap();
    assert!(failed.parse::<u32>().unwrap() > 10, "{failed}");
    assert_eq!(lost, "20 power cuts, and nothing was lost");
}
