//! Generated schemas, and what becomes of them: inserts, updates, deletes, columns that come and go, vacuums.

use std::ffi::{CStr, c_int, c_void};
use std::path::Path;

use finalite::scan::ScanStrategy;
use finalite::{Connection, OpenOptions, Value, ffi, params_from_iter};

use crate::STREAM;
use crate::common::random::Random;
use crate::compare;

const PAGE_BYTES: [i64; 8] = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];
const ENCODINGS: [&str; 3] = ["UTF-8", "UTF-16le", "UTF-16be"];
const JOURNALS: [&str; 6] = ["delete", "truncate", "persist", "memory", "off", "wal"];
const TYPES: [&str; 9] = ["INTEGER", "REAL", "TEXT", "BLOB", "", "NUMERIC", "DOUBLE", "VARCHAR(5)", "ANY"];
const DEFAULTS: [&str; 9] = ["NULL", "5", "-7", "'text'", "''", "x'0102'", "2.5", "3.0", "'12'"];
const KEYS: [&str; 6] = [
    "",
    "id INTEGER PRIMARY KEY, ",
    "id INT PRIMARY KEY, ",
    "id INTEGER PRIMARY KEY DESC, ",
    "id INTEGER PRIMARY KEY AUTOINCREMENT, ",
    "id TEXT PRIMARY KEY, ",
];
/// Those of tables without rowids.
const KEYS_WITHOUT_ROWID: [&str; 3] =
    ["id INTEGER PRIMARY KEY, ", "id TEXT COLLATE NOCASE PRIMARY KEY DESC, ", "id REAL PRIMARY KEY, "];
const INDEX_TERMS: [&str; 3] = ["c0", "c0 DESC", "c0 COLLATE RTRIM"];

struct World {
    conn: Connection,
    random: Random,
    /// Those that can be written to, by name.
    columns: Vec<String>,
    has_virtual: bool,
    has_key: bool,
    /// Name of the database that has the table.
    database: &'static str,
    /// The rowid, or the key of a table without rowids.
    rowid: &'static str,
    next_column: usize,
    compared: usize,
    by_pages: usize,
    rows: usize,
}

/// Reserves bytes at the end of each page, before the first is written.
fn reserve(conn: &Connection, database: &CStr, bytes: c_int) {
    let mut bytes = bytes;
    // SAFETY: nothing is closed, and the pointer is not kept.
    let db = unsafe { conn.as_raw() };
    let argument: *mut c_int = &raw mut bytes;
    // SAFETY: the connection is open; SQLITE_FCNTL_RESERVE_BYTES takes a pointer to an int.
    let code = unsafe {
        ffi::sqlite3_file_control(db, database.as_ptr(), ffi::SQLITE_FCNTL_RESERVE_BYTES, argument.cast::<c_void>())
    };
    assert_eq!(code, ffi::SQLITE_OK);
}

impl World {
    fn new(seed: u64, path: &Path) -> Self {
        let mut random = Random::new(seed, STREAM);
        let options = OpenOptions::new().pragma("encoding", random.pick(&ENCODINGS));
        // A third of the tables are of an attached database.
        let (conn, database, c_database) = match seed % 3 {
            2 => {
                let conn = options.open(":memory:").unwrap();
                conn.attach(path, "attached").unwrap().keep();
                (conn, "attached", c"attached")
            }
            _ => (options.open(path).unwrap(), "main", c"main"),
        };
        let pragma = |name: &str, value: &str| {
            conn.execute(&format!("PRAGMA {database}.{name} = {value}"), ()).unwrap();
        };
        pragma("page_size", &random.pick(&PAGE_BYTES).to_string());
        pragma("auto_vacuum", random.pick(&["0", "0", "1", "2"]));
        pragma("synchronous", "off");
        if random.one_in(3) {
            reserve(&conn, c_database, random.pick(&[4, 8, 32]));
        }
        pragma("journal_mode", random.pick(&JOURNALS));
        pragma("mmap_size", random.pick(&["0", "67108864"]));
        let has_rowid = !random.one_in(3);
        let key = if has_rowid { random.pick(&KEYS) } else { random.pick(&KEYS_WITHOUT_ROWID) };
        let rowid = if has_rowid { "rowid" } else { "id" };
        let most = if random.one_in(8) { 150 } else { 10 };
        let count = 1 + random.below(most);
        let mut columns: Vec<String> = (0..count).map(|column| format!("c{column}")).collect();
        let mut definitions: Vec<String> =
            columns.iter().map(|name| format!("{name} {}", random.pick(&TYPES))).collect();
        let at = random.below(count + 1);
        let has_virtual = random.one_in(3);
        if has_virtual {
            definitions.insert(at, "v AS (c0 || 'v') VIRTUAL".to_owned());
        }
        if random.one_in(3) {
            definitions.insert(random.below(definitions.len() + 1), "w REAL AS (length(c0) * 2) STORED".to_owned());
        }
        let options = if has_rowid { "" } else { " WITHOUT ROWID" };
        conn.execute(&format!("CREATE TABLE {database}.t({key}{}){options}", definitions.join(", ")), ()).unwrap();
        conn.execute(&format!("CREATE INDEX {database}.i ON t({})", random.pick(&INDEX_TERMS)), ()).unwrap();
        let has_key = !key.is_empty();
        if !has_rowid || (key.starts_with("id INTEGER") && random.one_in(2)) {
            columns.insert(0, "id".to_owned());
        }
        Self {
            conn,
            random,
            columns,
            has_virtual,
            has_key,
            database,
            rowid,
            next_column: count,
            compared: 0,
            by_pages: 0,
            rows: 0,
        }
    }

    fn value(&mut self) -> Value {
        let random = &mut self.random;
        let long = if random.one_in(40) { 60_000 } else { 600 };
        match random.below(12) {
            0 => Value::Null,
            1 => Value::Integer(random.pick(&[0, 1, -1, 2, i64::MAX, i64::MIN])),
            2 | 3 => Value::Integer(random.next().cast_signed() >> random.below(64)),
            4 => Value::Real(random.pick(&[0.0, -0.0, 1.0, 2.5, -3.0, 1e300, f64::INFINITY, f64::NEG_INFINITY, 4e18])),
            5 => Value::Real(f64::from(u32::try_from(random.below(1 << 20)).unwrap()) / 7.0),
            6 => Value::Text(String::new()),
            7 => Value::Text("Grüße, 世界 🌍 \u{0} ende".repeat(random.below(8))),
            8 => Value::Text("abc ".repeat(random.below(long))),
            9 => Value::Text(random.below(1000).to_string()),
            10 => {
                let len = random.below(20);
                Value::Blob(random.bytes(len))
            }
            _ => {
                let len = random.below(4 * long);
                Value::Blob(random.bytes(len))
            }
        }
    }

    fn insert(&mut self, rows: usize) {
        let columns = self.columns.clone();
        let marks = vec!["?"; columns.len()].join(", ");
        let sql = format!("INSERT OR IGNORE INTO t({}) VALUES ({marks})", columns.join(", "));
        self.conn.execute("BEGIN", ()).unwrap();
        for _ in 0..rows {
            let values: Vec<Value> = columns
                .iter()
                .map(|name| match &**name {
                    // Any value, or an integer, or the next.
                    "id" if self.rowid == "id" && self.random.one_in(3) => self.value(),
                    "id" if self.rowid == "rowid" && self.random.one_in(2) => Value::Null,
                    "id" => Value::Integer(self.random.next().cast_signed() >> self.random.below(60)),
                    _ => self.value(),
                })
                .collect();
            self.conn.execute(&sql, params_from_iter(values)).unwrap();
        }
        self.conn.execute("COMMIT", ()).unwrap();
    }

    fn change(&mut self) {
        let (column, rowid) = (self.columns.last().unwrap().clone(), self.rowid);
        match self.random.below(12) {
            0..=2 => {
                let rows = self.random.pick(&[1, 5, 60, 300]);
                self.insert(rows);
            }
            3 => {
                let value = self.value();
                self.conn
                    .execute(&format!("UPDATE OR IGNORE t SET {column} = ? WHERE ({rowid} & 255) % 7 = 3"), (value,))
                    .unwrap();
            }
            4 => {
                self.conn.execute(&format!("DELETE FROM t WHERE ({rowid} & 255) % 3 = 1"), ()).unwrap();
            }
            5 if self.random.one_in(3) => {
                self.conn.execute("DELETE FROM t", ()).unwrap();
            }
            6 | 7 => {
                let name = format!("c{}", self.next_column);
                self.next_column += 1;
                let (data_type, default) = (self.random.pick(&TYPES), self.random.pick(&DEFAULTS));
                self.conn
                    .execute(&format!("ALTER TABLE t ADD COLUMN {name} {data_type} DEFAULT {default}"), ())
                    .unwrap();
                self.columns.push(name);
            }
            8 if self.columns.len() > 2 && column != "c0" => {
                self.conn.execute(&format!("ALTER TABLE t DROP COLUMN {column}"), ()).unwrap();
                self.columns.pop();
            }
            9 if column != "c0" && column != "id" => {
                let name = format!("\"renamed \"\" {}\"", self.next_column);
                self.next_column += 1;
                self.conn.execute(&format!("ALTER TABLE t RENAME COLUMN {column} TO {name}"), ()).unwrap();
                *self.columns.last_mut().unwrap() = name;
            }
            10 => {
                self.conn.execute(&format!("VACUUM {}", self.database), ()).unwrap();
            }
            _ => {
                // What is no UTF-8, no UTF-16 or half a character, as SQLite lets it in.
                let len = self.random.below(9);
                let bytes = Value::Blob(self.random.bytes(len));
                self.conn
                    .execute(&format!("INSERT OR IGNORE INTO t({column}) VALUES (CAST(? AS TEXT))"), (bytes,))
                    .unwrap();
                let surrogates = Value::Blob([0xd8_u8, 0xd8, 0x00, 0x41, 0xdc, 0xdc, 0x42, 0x00, 0xd8].repeat(3));
                self.conn
                    .execute(&format!("INSERT OR IGNORE INTO t({column}) VALUES (CAST(? AS TEXT))"), (surrogates,))
                    .unwrap();
            }
        }
    }

    fn compare(&mut self) {
        let rowid = self.rowid;
        let mut queries = vec![
            ("SELECT * FROM t NOT INDEXED".to_owned(), !self.has_virtual),
            (format!("SELECT {} FROM t NOT INDEXED", self.columns.join(", ")), true),
            (format!("SELECT {} AS x, {rowid}, {0} FROM t NOT INDEXED", self.columns.last().unwrap()), true),
            (format!("SELECT {rowid} FROM t NOT INDEXED"), true),
            ("SELECT c0 FROM t INDEXED BY i".to_owned(), true),
            (format!("SELECT {rowid}, c0 FROM t INDEXED BY i"), true),
            (format!("SELECT name, sql FROM {}.sqlite_schema", self.database), true),
            (
                format!("SELECT * FROM t NOT INDEXED WHERE {rowid} > 5 AND {rowid} <= 200"),
                rowid == "rowid" && !self.has_virtual,
            ),
        ];
        let one = self.columns[self.random.below(self.columns.len())].clone();
        queries.push((format!("SELECT {one} FROM t NOT INDEXED"), true));
        for (sql, may_be_pages) in queries {
            let (is_pages, rows) = compare::both(&self.conn, &sql);
            assert_eq!(is_pages, may_be_pages && rows > 0, "{sql}: {}", self.conn.scan(&sql, ()).plan().unwrap());
            self.compared += 1;
            self.by_pages += usize::from(is_pages);
            self.rows += rows;
        }
        // The path that is chosen by what earlier scans have found out, before the table changed.
        let scan = || self.conn.scan_table("t").select(["c0", rowid]);
        let expected = compare::read(scan(), ScanStrategy::Statement).unwrap();
        for _ in 0..2 {
            compare::assert_same(&expected, &compare::read_all(scan()).unwrap(), "scan_table");
        }
    }
}

#[test]
fn generated_histories() {
    let dir = tempfile::tempdir().unwrap();
    let (mut compared, mut by_pages, mut rows, mut with_keys, mut attached) = (0, 0, 0, 0, 0);
    // More of them on request.
    let seeds = std::env::var("FINALITE_PAGES_SEEDS").map_or(6, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let mut world = World::new(seed, &dir.path().join(format!("{seed}.db")));
        world.compare();
        for _ in 0..12 {
            world.change();
            world.compare();
        }
        compared += world.compared;
        by_pages += world.by_pages;
        rows += world.rows;
        attached += if world.database == "main" { 0 } else { world.by_pages };
        with_keys += usize::from(world.has_key);
    }
    println!("{compared} scans compared, {by_pages} of them from pages, {rows} rows; {with_keys} tables with keys");
    assert!(by_pages as u64 > 40 * seeds, "{by_pages}");
    assert!(4 * attached > by_pages, "{attached} of {by_pages}");
    assert!(rows as u64 > 1_700 * seeds, "{rows}");
}

#[test]
fn a_deep_tree_and_long_rows() {
    let dir = tempfile::tempdir().unwrap();
    let conn = OpenOptions::new().pragma("page_size", 512_i64).open(dir.path().join("deep.db")).unwrap();
    conn.execute_batch(
        "PRAGMA synchronous = off; CREATE TABLE t(a, b);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
         INSERT INTO t(rowid, a, b) SELECT i * 1000003 % 60013, i, zeroblob(i % 120) FROM n;
         CREATE TABLE long(a, b, c);
         INSERT INTO long VALUES (1, zeroblob(3000000), 'end'), (2, hex(randomblob(700000)), 'end'), (3, '', NULL);",
    )
    .unwrap();
    for sql in
        ["SELECT * FROM t", "SELECT a FROM t", "SELECT rowid, b FROM t", "SELECT * FROM long", "SELECT a FROM long"]
    {
        let (is_pages, _) = compare::both(&conn, sql);
        assert!(is_pages, "{sql}");
    }
}

/// The path that is taken when nobody chooses: the statement first, and pages after it.
#[test]
fn the_change_of_paths_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    for rows in [1, 2047, 2048, 2049, 2050, 5_000] {
        conn.execute_batch(&format!(
            "DROP TABLE IF EXISTS t; CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO t SELECT i * 3, 'row ' || i FROM n;"
        ))
        .unwrap();
        for limit in [u64::MAX, 1, 2047, 2048, 2049, 3000] {
            let mut seen = Vec::new();
            let mut told = Vec::new();
            let count = conn
                .scan_table("t")
                .select(["rowid", "a"])
                .limit(limit)
                .progress(512, |rows| {
                    told.push(rows);
                    std::ops::ControlFlow::Continue(())
                })
                .for_each(|row| {
                    seen.push((row.get::<i64>("id").or_else(|_| row.get(0))?, row.get::<String>("a")?));
                    Ok::<_, finalite::Error>(())
                })
                .unwrap();
            let expected: Vec<_> = (1..=i64::from(rows))
                .take(usize::try_from(limit).unwrap())
                .map(|i| (i * 3, format!("row {i}")))
                .collect();
            assert!(seen == expected, "{rows} rows, {limit} asked for: {} seen", seen.len());
            assert_eq!(count, seen.len() as u64);
            assert_eq!(told, (1..=count / 512).map(|n| n * 512).collect::<Vec<_>>());
        }
        let batch = conn.scan_table("t").all_columns().columns().unwrap();
        assert_eq!(batch.len(), usize::try_from(rows).unwrap());
    }
}
