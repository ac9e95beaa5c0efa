//! Conditions: evaluated on records, they accept the rows that SQLite accepts.

use std::cell::RefCell;
use std::ops::ControlFlow;

use finalite::extend::{Access, Action};
use finalite::scan::{Relation, Scan, ScanPlan, ScanStrategy, ScannedTable};
use finalite::{Connection, Error, ErrorKind, OpenOptions, Value};

use crate::STREAM;
use crate::common::random::Random;
use crate::compare;

const COLUMNS: [(&str, &str); 9] = [
    ("id", "INTEGER PRIMARY KEY"),
    ("i", "INTEGER"),
    ("r", "REAL"),
    ("s", "TEXT"),
    ("n", "TEXT COLLATE NOCASE"),
    ("t", "VARCHAR(9) COLLATE RTRIM"),
    ("b", "BLOB"),
    ("x", "NUMERIC"),
    ("o", ""),
];
const OPERATORS: [&str; 10] = ["=", "<>", "<", "<=", ">", ">=", "IS", "IS NOT", "IS DISTINCT FROM", "=="];
/// Values that are stored and compared.
const VALUES: [&str; 25] = [
    "NULL",
    "0",
    "1",
    "-1",
    "2",
    "5",
    "7.0",
    "2.5",
    "-3.25",
    "1e300",
    "9223372036854775807",
    "-9223372036854775808",
    "4503599627370497.5",
    "''",
    "'a'",
    "'A'",
    "'abc'",
    "'ABC '",
    "'abc  '",
    "'5'",
    "'05'",
    "'Grüße'",
    "x'00'",
    "x''",
    "x'616263'",
];
const ONLY_COMPARED: [&str; 7] = ["-1e300", "9223372036854775808.0", "'2.5'", "' 7'", "'+1'", "'zz'", "1000000"];
const ONLY_STORED: [&str; 3] = ["9e999", "'a' || char(0) || 'B'", "'A' || char(0) || 'c'"];

/// One of the values, these included.
fn value(random: &mut Random, more: &[&'static str]) -> &'static str {
    let at = random.below(VALUES.len() + more.len());
    VALUES.get(at).copied().unwrap_or_else(|| more[at - VALUES.len()])
}

fn create(conn: &Connection, random: &mut Random, rows: usize) {
    let columns: Vec<String> = COLUMNS.iter().map(|(name, data_type)| format!("{name} {data_type}")).collect();
    conn.execute_batch(&format!("CREATE TABLE t({}); BEGIN", columns.join(", "))).unwrap();
    for row in 0..rows {
        // Most values are of their column's type, so that not each scan is soon left to SQLite.
        let values = COLUMNS.iter().map(|(name, _)| match *name {
            "id" => (3 * row).to_string(),
            "i" if !random.one_in(20) => (random.below(20)).to_string(),
            "r" if !random.one_in(20) => format!("{}.5", random.below(20)),
            "s" | "n" | "t" if !random.one_in(20) => random.pick(&["'a'", "'ABC '", "'abc'", "'zz'", "'A'"]).to_owned(),
            _ => value(random, &ONLY_STORED).to_owned(),
        });
        let values: Vec<String> = values.collect();
        conn.execute(&format!("INSERT INTO t VALUES ({})", values.join(", ")), ()).unwrap();
    }
    conn.execute_batch("COMMIT; ALTER TABLE t ADD COLUMN later INTEGER DEFAULT 5; ALTER TABLE t ADD COLUMN more TEXT")
        .unwrap();
    conn.execute("INSERT INTO t(i, later, more) VALUES (7, 8, 'more'), (8, NULL, NULL)", ()).unwrap();
}

fn operand(random: &mut Random) -> String {
    let column = match random.below(COLUMNS.len() + 2) {
        column if column < COLUMNS.len() => COLUMNS[column].0,
        column => ["later", "more"][column - COLUMNS.len()],
    };
    let sign = if random.one_in(10) { "+" } else { "" };
    let collation =
        if random.one_in(8) { random.pick(&[" COLLATE NOCASE", " COLLATE RTRIM", " COLLATE BINARY"]) } else { "" };
    format!("{sign}{column}{collation}")
}

fn condition(random: &mut Random, depth: usize) -> String {
    if depth > 0 && random.one_in(2) {
        let joint = random.pick(&["AND", "AND", "OR"]);
        let not = if random.one_in(6) { "NOT " } else { "" };
        return format!("{not}({} {joint} {})", condition(random, depth - 1), condition(random, depth - 1));
    }
    let left = operand(random);
    match random.below(8) {
        0 => format!("{left} IS NULL"),
        1 => format!("{left} NOTNULL"),
        2 => format!("{left} BETWEEN {} AND {}", value(random, &ONLY_COMPARED), value(random, &ONLY_COMPARED)),
        3 => {
            let not = if random.one_in(3) { "NOT " } else { "" };
            // NULL, a blob, or a text that may be a number leaves the list to SQLite.
            let kind = random.below(4);
            let values = (0..2 + random.below(7)).map(|_| match kind {
                0 => value(random, &ONLY_COMPARED).to_owned(),
                1 => random.pick(&["'a'", "'abc'", "'ABC '", "'zz'", "'x'", "''", "7.0", "3"]).to_owned(),
                _ => random.below(20).to_string(),
            });
            let values: Vec<_> = values.collect();
            format!("{left} {not}IN ({})", values.join(", "))
        }
        4 => format!("{left} {} {}", random.pick(&OPERATORS), operand(random)),
        _ => format!("{left} {} {}", random.pick(&OPERATORS), value(random, &ONLY_COMPARED)),
    }
}

/// A condition on the rowid that limits the range of the rows, or one of its bounds.
fn range(random: &mut Random) -> String {
    let bound = |random: &mut Random| match random.below(8) {
        0 => value(random, &ONLY_COMPARED).to_owned(),
        1 => format!("{}.5", random.below(1300)),
        2 => format!("'{}'", random.below(1300)),
        _ => random.below(1300).to_string(),
    };
    let column = random.pick(&["id", "rowid"]);
    match random.below(3) {
        0 => format!("{column} BETWEEN {} AND {}", bound(random), bound(random)),
        1 => format!("{column} {} {}", random.pick(&["<", "<=", ">", ">="]), bound(random)),
        _ => {
            let [first, last] = [(); 2].map(|()| bound(random));
            format!("{column} {} {first} AND {last} {0} {column}", random.pick(&[">", ">="]))
        }
    }
}

#[test]
fn generated_conditions() {
    let dir = tempfile::tempdir().unwrap();
    let (mut by_pages, mut rows_by_pages, mut compared) = (0, 0, 0);
    let (mut ranges, mut lists) = (0, 0);
    let seeds = std::env::var("FINALITE_CONDITIONS_SEEDS").map_or(6, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let mut random = Random::new(seed, STREAM);
        let conn = OpenOptions::new()
            .pragma("page_size", random.pick(&[512_i64, 4096]))
            .pragma("synchronous", "off")
            .pragma("journal_mode", random.pick(&["delete", "wal"]))
            .open(dir.path().join(format!("{seed}.db")))
            .unwrap();
        create(&conn, &mut random, 400);
        for _ in 0..60 {
            let selected = random.pick(&["*", "i, s", "rowid", "later, r", "id, more"]);
            let condition = match random.below(6) {
                0 => range(&mut random),
                1 | 2 => format!("{} AND ({})", range(&mut random), condition(&mut random, 1)),
                _ => condition(&mut random, 2),
            };
            let sql = format!("SELECT {selected} FROM t NOT INDEXED WHERE {condition}");
            let (is_pages, rows) = compare::both(&conn, &sql);
            compared += 1;
            by_pages += usize::from(is_pages);
            ranges += usize::from(is_pages && (sql.contains("id BETWEEN") || sql.contains("id >")));
            lists += usize::from(is_pages && sql.contains(" IN ("));
            rows_by_pages += if is_pages { rows } else { 0 };
        }
    }
    println!("{compared} scans compared, {by_pages} of them begun from pages, {rows_by_pages} rows of these");
    println!("{ranges} of the latter with a range of rowids, {lists} with a list");
    assert!(10 * ranges > by_pages && 20 * lists > by_pages, "{ranges} {lists} of {by_pages}");
    assert!(2 * by_pages > compared, "{by_pages} of {compared}");
    assert!(rows_by_pages > 20 * by_pages, "{rows_by_pages}");
}

/// A table with rows that are all of one kind: `n` counts them, `even` is 0 or 1.
fn numbers(conn: &Connection, rows: usize) {
    conn.execute_batch(&format!(
        "CREATE TABLE t(n INTEGER, even INTEGER, name TEXT COLLATE NOCASE, price REAL, data BLOB);
         WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {rows})
         INSERT INTO t SELECT n, n % 2 = 0, 'Name ' || (n % 10), n / 4.0, CASE n % 3 WHEN 0 THEN zeroblob(n % 90) END FROM i;"
    ))
    .unwrap();
}

fn file(rows: usize) -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    numbers(&conn, rows);
    (dir, conn)
}

fn column(scan: Scan<'_, ScannedTable>) -> Vec<i64> {
    scan.columns().unwrap().column(0).unwrap().iter_i64().unwrap().map(Option::unwrap).collect()
}

/// Each relation with each type of value, as `WHERE` with a bound parameter.
#[test]
fn a_filter_is_a_condition_with_a_parameter() {
    let (_dir, conn) = file(3000);
    let relations = [
        (Relation::Equal, "="),
        (Relation::NotEqual, "<>"),
        (Relation::Less, "<"),
        (Relation::LessOrEqual, "<="),
        (Relation::Greater, ">"),
        (Relation::GreaterOrEqual, ">="),
        (Relation::Is, "IS"),
        (Relation::IsNot, "IS NOT"),
    ];
    let values: [Value; 7] =
        [Value::Null, 1.into(), 1000.into(), 250.5.into(), "name 3".into(), "Name".into(), vec![0_u8; 6].into()];
    let mut by_pages = 0;
    for (relation, operator) in relations {
        for value in &values {
            for column in ["n", "even", "name", "price", "data"] {
                let sql = format!("SELECT n, data FROM t WHERE {column} {operator} ?");
                let expected = compare::read_all(conn.scan(&sql, (value.clone(),))).unwrap();
                let plan = RefCell::new(None);
                let scan = conn.scan_table("t").select(["n", "data"]).filter(column, relation, value.clone());
                let scan = scan.on_end(|end| *plan.borrow_mut() = Some(end));
                let found = compare::read_all(scan).unwrap();
                compare::assert_same(&expected, &found, &sql);
                by_pages += usize::from(plan.take().unwrap().strategy == ScanStrategy::Pages);
            }
        }
    }
    assert!(by_pages >= 250, "{by_pages}");
    let error = conn.scan_table("t").select(["n"]).filter("n", Relation::Less, f64::NAN).columns().unwrap_err();
    assert!(error.to_string().contains("SQLite cannot store NaN"), "{error}");
}

#[test]
fn filters_are_joined_and_their_columns_need_not_be_selected() {
    let (_dir, conn) = file(5000);
    let scan = |limit| {
        let scan = conn.scan_table("t").select(["n"]).filter("even", Relation::Equal, 1);
        scan.filter("name", Relation::Equal, "NAME 4").filter("price", Relation::Greater, 1000.0).limit(limit)
    };
    assert_eq!(
        scan(u64::MAX).plan().unwrap().to_string(),
        "by reading the table's pages: it is a scan of a table with a condition"
    );
    let all: Vec<i64> = (4004..=5000).step_by(10).collect();
    assert_eq!(column(scan(u64::MAX)), all);
    assert_eq!(column(scan(7)), all[..7]);
    assert_eq!(column(scan(0)), [0_i64; 0]);
    for threads in [2, 3] {
        assert_eq!(column(scan(u64::MAX).threads(threads)), all);
        assert_eq!(column(scan(7).threads(threads)), all[..7]);
    }
    let mut told = Vec::new();
    scan(u64::MAX)
        .progress(30, |rows| {
            told.push(rows);
            ControlFlow::Continue(())
        })
        .batches(7, |_| Ok::<_, Error>(()))
        .unwrap();
    assert_eq!(told, [30, 60, 90]);
    let scan = conn.scan_table("t").select(["n"]).filter("even", Relation::Equal, 1);
    scan.for_each(|row| {
        assert_eq!((row.column_count(), row.column_name(0)?), (1, "n"));
        assert!(matches!(row.value(1).unwrap_err().kind(), ErrorKind::NoSuch { .. }));
        Ok::<_, Error>(())
    })
    .unwrap();
    let error = conn.scan_table("t").select(["n"]).filter("nowhere", Relation::Is, 0).columns().unwrap_err();
    assert!(error.to_string().contains("no such column: t.nowhere"), "{error}");
}

/// The first row that is wanted may be the last of the table, and there may be none: SQLite does not look for it.
#[test]
fn a_row_far_away_is_found_from_pages() {
    let (_dir, conn) = file(20_000);
    for (least, rows) in [(19_999, 2), (20_000, 1), (20_001, 0)] {
        let plan = RefCell::new(None);
        let scan = conn.scan_table("t").select(["n", "name"]).filter("n", Relation::GreaterOrEqual, least);
        let scan = scan.on_end(|end: ScanPlan| *plan.borrow_mut() = Some(end.strategy));
        assert_eq!(scan.columns().unwrap().len(), rows);
        assert_eq!(plan.take(), Some(ScanStrategy::Pages), "{least}");
    }
}

#[test]
fn sqlite_evaluates_what_it_does_better_or_alone() {
    let (_dir, conn) = file(3000);
    let by = |scan: Scan<'_, ScannedTable>| {
        let plan = scan.plan().unwrap();
        (plan.strategy, plan.reason)
    };
    let filtered = || conn.scan_table("t").select(["n"]).filter("name", Relation::Equal, "name 3");
    assert_eq!(by(filtered()).0, ScanStrategy::Pages);
    // A number that is compared as text, in a column of texts.
    assert_eq!(by(conn.scan_table("t").select(["n"]).filter("name", Relation::Equal, 5)).0, ScanStrategy::Pages);
    let numeric = || conn.scan_table("t").select(["n"]).filter("n", Relation::Equal, "5");
    assert_eq!((by(numeric()).0, column(numeric())), (ScanStrategy::Pages, vec![5]));
    // A text that may be a number of another form.
    let numeric = || conn.scan_table("t").select(["n"]).filter("n", Relation::Equal, "5.0");
    assert_eq!((by(numeric()).0, column(numeric())), (ScanStrategy::Statement, vec![5]));
    // A collation that is the program's.
    conn.create_collation("nocase", |a: &str, b: &str| a.len().cmp(&b.len())).unwrap();
    assert_eq!((by(filtered()).0, column(filtered()).len()), (ScanStrategy::Statement, 3000));
    conn.remove_collation("nocase").unwrap();
    // An index.
    let (_dir, conn) = file(3000);
    conn.execute_batch("CREATE INDEX t_price ON t(price)").unwrap();
    let indexed = || conn.scan_table("t").select(["n"]).filter("price", Relation::Equal, 2.5);
    assert_eq!((by(indexed()).0, column(indexed())), (ScanStrategy::Statement, vec![10]));
    assert_eq!(column(conn.scan_table("t").select(["n"]).filter("price", Relation::Less, 0.6)), [1, 2]);
    // A table without rowids, a view, a small table.
    conn.execute_batch("CREATE TABLE k(a PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO k VALUES (1, 2), (2, 3);
                        CREATE VIEW v AS SELECT n + 1 AS m FROM t; CREATE TABLE small(n); INSERT INTO small VALUES (1), (2)")
        .unwrap();
    assert_eq!(column(conn.scan_table("k").select(["a"]).filter("b", Relation::Equal, 3)), [2]);
    assert_eq!(column(conn.scan_table("v").select(["m"]).filter("m", Relation::LessOrEqual, 3)), [2, 3]);
    for _ in 0..3 {
        let small = || conn.scan_table("small").select(["n"]).filter("n", Relation::NotEqual, 1);
        assert_eq!(
            (by(small()), column(small())),
            ((ScanStrategy::Statement, "the table is small: SQLite is as fast"), vec![2])
        );
    }
    conn.execute_batch("INSERT INTO small SELECT n FROM t").unwrap();
    assert_eq!(column(conn.scan_table("small").select(["n"]).filter("n", Relation::NotEqual, 1)).len(), 3000);
    assert_eq!(by(conn.scan_table("small").select(["n"]).filter("n", Relation::NotEqual, 1)).0, ScanStrategy::Pages);
    // A transaction that has read before.
    conn.execute_batch("PRAGMA journal_mode = wal; BEGIN; SELECT * FROM t").unwrap();
    assert_eq!(by(conn.scan_table("t").select(["n"]).filter("n", Relation::NotEqual, 1)).0, ScanStrategy::Statement);
    conn.execute_batch("COMMIT").unwrap();
    // UTF-16.
    let dir = tempfile::tempdir().unwrap();
    let conn = OpenOptions::new().pragma("encoding", "UTF-16le").open(dir.path().join("a.db")).unwrap();
    numbers(&conn, 300);
    for (collation, strategy) in [("BINARY", ScanStrategy::Statement), ("NOCASE", ScanStrategy::Pages)] {
        let sql = format!("SELECT n FROM t NOT INDEXED WHERE name COLLATE {collation} = 'Name 3'");
        assert_eq!(compare::both(&conn, &sql), (strategy == ScanStrategy::Pages, 30), "{collation}");
    }
}

/// Texts with NUL, which `NOCASE` compares up to there, and then by their lengths.
#[test]
fn nul_in_texts_is_compared_as_sqlite_does() {
    let (_dir, conn) = file(0);
    let texts = ["'a'||char(0)||'B'", "'A'||char(0)||'c'", "'a'", "'A'||char(0)", "'B'||char(0)||'a'"];
    for left in texts {
        for right in texts {
            conn.execute(&format!("INSERT INTO t(name, data) VALUES ({left}, {right})"), ()).unwrap();
        }
    }
    conn.execute_batch(
        "INSERT INTO t(n) SELECT value FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]')",
    )
    .unwrap();
    for operator in ["=", "<", ">="] {
        let (is_pages, rows) =
            compare::both(&conn, &format!("SELECT name, data FROM t NOT INDEXED WHERE name {operator} data"));
        assert!(is_pages && rows > 5, "{operator}: {rows}");
    }
}

/// A closure that writes: the remaining rows are those of SQLite that meet the condition.
#[test]
fn a_write_leaves_the_rest_to_sqlite() {
    for condition in [
        "even = 1 AND (name = 'name 4' OR price > 900.5 OR data IS NULL) AND name IS NOT 'name 2'",
        "even = 1 AND +price >= 0.5 AND NOT (n = 4 OR name COLLATE BINARY = 'name 6')",
        "n > even AND even BETWEEN 1 AND 1",
        "even IN (1, 2.5, 'x') AND name NOT IN ('name 1', 'NAME 3', 'x') AND rowid > 1",
        "even NOT IN (0, 2, 3) OR n IN (-1, -3, -5)",
    ] {
        let (_dir, conn) = file(6000);
        let sql = format!("SELECT n, name FROM t NOT INDEXED WHERE {condition}");
        let expected = compare::read_all(conn.scan(&sql, ())).unwrap().len();
        let (mut seen, mut plan) = (Vec::new(), None);
        let scan = conn.scan(&sql, ()).strategy(ScanStrategy::Pages).on_end(|end| plan = Some(end));
        scan.for_each(|row| {
            let n: i64 = row.get("n")?;
            if seen.len() == 500 {
                conn.execute("UPDATE t SET n = -n WHERE n % 2 = 0", ())?;
            }
            seen.push(n.abs());
            Ok::<_, Error>(())
        })
        .unwrap();
        assert!(seen.is_sorted(), "{condition}");
        assert_eq!(plan.unwrap().reason, "the connection wrote while its pages were read");
        match condition.starts_with("n >") {
            // What was written no longer meets the condition.
            true => assert!(seen.len() > 500 && seen.len() < expected, "{}", seen.len()),
            false => assert_eq!(seen.len(), expected, "{condition}"),
        }
    }
}

/// The statement that was kept is of an older schema, which another connection has changed.
#[test]
fn a_changed_schema_is_seen() {
    let (dir, conn) = file(3000);
    let other = Connection::open(dir.path().join("a.db")).unwrap();
    let scan = || conn.scan_table("t").all_columns().filter("even", Relation::Equal, 1);
    assert_eq!(scan().columns().unwrap().columns().len(), 5);
    other
        .execute_batch("ALTER TABLE t ADD COLUMN more DEFAULT 'x'; ALTER TABLE t RENAME COLUMN name TO called")
        .unwrap();
    for _ in 0..2 {
        let batch = scan().columns().unwrap();
        assert_eq!(batch.columns().len(), 6);
        assert_eq!(batch.column("called").unwrap().as_str().unwrap().get(0), Some("Name 2"));
        assert_eq!(batch.column("more").unwrap().as_str().unwrap().get(1499), Some("x"));
    }
    other
        .execute_batch("CREATE TABLE u AS SELECT * FROM t WHERE n < 2500; DROP TABLE t; ALTER TABLE u RENAME TO t")
        .unwrap();
    for _ in 0..2 {
        assert_eq!(scan().columns().unwrap().len(), 1249);
    }
    assert_eq!(scan().plan().unwrap().strategy, ScanStrategy::Pages);
    other.execute_batch("ALTER TABLE t DROP COLUMN even").unwrap();
    let error = scan().columns().unwrap_err();
    assert!(error.to_string().contains("no such column"), "{error}");
}

/// Rows that continue on other pages: those that are not wanted are not read, and the others are whole.
#[test]
fn long_rows_are_read_if_they_are_wanted() {
    let (_dir, conn) = file(0);
    conn.execute_batch(
        "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 200)
         INSERT INTO t SELECT n, n % 2, 'text', n, randomblob(20000) FROM i; CREATE TABLE u(data, n);
         INSERT INTO u SELECT data, n FROM t;",
    )
    .unwrap();
    for sql in [
        "SELECT data FROM t NOT INDEXED WHERE n = 150",
        "SELECT * FROM t NOT INDEXED WHERE even = 1 AND n > 20",
        "SELECT n FROM u NOT INDEXED WHERE n = 150",
        "SELECT n FROM u NOT INDEXED WHERE data IS NOT NULL AND n > 100",
    ] {
        let (is_pages, rows) = compare::both(&conn, sql);
        assert!(is_pages && rows > 0, "{sql}");
    }
}

/// No value of a filter is in an error, and an interrupt ends a scan that finds no row.
#[test]
fn errors_have_no_value() {
    let (_dir, conn) = file(3000);
    let error = conn.scan_table("t").select(["n", "n"]).filter("name", Relation::Less, "secret").filter(
        "x",
        Relation::Is,
        "secret",
    );
    assert!(!format!("{:?}", error.columns().unwrap_err()).contains("secret"));
    let scan = conn.scan_table("t").select(["name"]).filter("name", Relation::NotEqual, "secret");
    assert!(!format!("{scan:?}").contains("secret"));
    let error = scan.schema([finalite::scan::ColumnType::Integer]).columns().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MixedColumn { .. }));
    assert!(!format!("{error:?}").contains("secret"));
    let handle = conn.interrupt_handle();
    let mut rows = 0;
    let scan = conn.scan_table("t").select(["n"]).filter("even", Relation::Equal, 0);
    let error = scan
        .for_each(|_| {
            rows += 1;
            handle.interrupt();
            Ok::<_, Error>(())
        })
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Interrupted), "{error}");
    assert!(rows < 1500);
}

/// 100 rows, one of which SQLite has to judge: a text that may be a number among numbers.
fn with_a_misfit() -> (tempfile::TempDir, Connection) {
    let (dir, conn) = file(0);
    conn.execute_batch(
        "CREATE TABLE k(n INTEGER PRIMARY KEY, x NUMERIC);
         WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 100)
         INSERT INTO k SELECT n, iif(n = 60, '3x', n) FROM i;",
    )
    .unwrap();
    (dir, conn)
}

/// A row that SQLite has to judge comes after a write: what is before it by then does not count.
#[test]
fn a_write_before_a_row_that_sqlite_judges_loses_none() {
    for (change, threads) in [("DELETE FROM k WHERE n = ?", 1), ("DELETE FROM k WHERE n <= ?", 2)] {
        let (_dir, conn) = with_a_misfit();
        let (mut seen, mut reason) = (Vec::new(), "");
        let scan = conn.scan("SELECT n FROM k WHERE x <> 1000", ()).strategy(ScanStrategy::Pages).threads(threads);
        let scan = scan.on_end(|end| reason = end.reason);
        let result = match threads {
            1 => scan.for_each(|row| {
                seen.push(row.get::<i64>(0)?);
                conn.execute(change, (seen.len(),)).map(drop)
            }),
            _ => scan.batches(10, |batch| {
                seen.extend(batch.column(0)?.as_i64()?);
                conn.execute(change, (seen.len(),)).map(drop)
            }),
        };
        result.unwrap();
        assert_eq!(seen, (1..=100).collect::<Vec<_>>(), "{threads}");
        assert_eq!(reason, "the connection wrote while its pages were read");
    }
}

/// What is known of the statement is of its last preparation, which SQLite may have given up.
#[test]
fn an_expired_statement_is_prepared_again() {
    let (_dir, conn) = file(3000);
    let scan = || conn.scan_table("t").select(["n"]).filter("even", Relation::Equal, 1);
    let sql = "SELECT n FROM t NOT INDEXED WHERE even = 1";
    let by_sql = || compare::read(conn.scan(sql, ()), ScanStrategy::Pages).unwrap();
    assert_eq!((column(scan()).len(), by_sql().len()), (1500, 1500));
    conn.execute_batch("CREATE TEMP TABLE t(n, even); INSERT INTO temp.t VALUES (7, 1)").unwrap();
    assert_eq!((column(scan()), by_sql().len()), (vec![7], 1));
    conn.execute_batch("DROP TABLE temp.t").unwrap();
    assert_eq!((column(scan()).len(), by_sql().len()), (1500, 1500));
    conn.execute_batch("PRAGMA reverse_unordered_selects = on").unwrap();
    assert_eq!((column(scan())[0], compare::both(&conn, sql)), (3000, (false, 1500)));
    conn.execute_batch("PRAGMA reverse_unordered_selects = off").unwrap();
    assert_eq!((column(scan())[0], compare::both(&conn, sql)), (2, (true, 1500)));
    // The same number of changes of the schema, and another schema.
    conn.execute_batch("CREATE TABLE u(a, b, c, d); INSERT INTO u VALUES (1, 20, 300, 4000)").unwrap();
    for _ in 0..7 {
        conn.execute_batch("INSERT INTO u SELECT * FROM u").unwrap();
    }
    let scan = || column(conn.scan_table("u").select(["b"]).filter("c", Relation::Equal, 300));
    conn.execute_batch("BEGIN; ALTER TABLE u DROP COLUMN a").unwrap();
    assert_eq!(scan()[0], 20);
    conn.execute_batch("ROLLBACK; ALTER TABLE u DROP COLUMN d").unwrap();
    assert_eq!((scan()[0], scan()[0]), (20, 20));
}

/// SQLite may choose an index by the value of a parameter.
#[test]
fn a_partial_index_is_chosen_by_the_value() {
    let (_dir, conn) = file(0);
    conn.execute_batch(
        "CREATE TABLE p(i INTEGER, b INTEGER, n NUMERIC); CREATE INDEX p_b ON p(b) WHERE i = 5;
         WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 500)
         INSERT INTO p SELECT 5 + (n % 10 = 0), -n, iif(n = 250, '3x', n) FROM r;",
    )
    .unwrap();
    for value in [5, 6, 5] {
        let filtered = || {
            let scan = conn.scan_table("p").select(["b", "n"]).filter("i", Relation::Equal, value);
            scan.filter("n", Relation::NotEqual, 3)
        };
        let plan = filtered().plan().unwrap();
        let expected = compare::read_all(conn.scan("SELECT b, n FROM p WHERE i = ? AND n <> 3", (value,))).unwrap();
        compare::assert_same(&expected, &compare::read_all(filtered()).unwrap(), "by the value");
        let strategy = if value == 5 { ScanStrategy::Statement } else { ScanStrategy::Pages };
        assert_eq!(plan.strategy, strategy, "{value}: {plan}");
    }
}

/// The closure makes a temporary table, or changes the order of rows: a statement that runs is not affected.
#[test]
fn the_closure_changes_what_the_statement_reads() {
    for change in ["CREATE TEMP TABLE k(n, x)", "PRAGMA reverse_unordered_selects = on"] {
        let (_dir, conn) = with_a_misfit();
        let mut seen = Vec::new();
        let scan = conn.scan("SELECT n FROM k WHERE x <> 1000", ()).strategy(ScanStrategy::Pages);
        scan.for_each(|row| {
            seen.push(row.get::<i64>(0)?);
            if seen.len() == 30 {
                conn.execute(change, ())?;
            }
            Ok::<_, Error>(())
        })
        .unwrap();
        assert_eq!(seen, (1..=100).collect::<Vec<_>>(), "{change}");
    }
}

/// Values that are compared as texts, by more than the declarations of their columns.
#[test]
fn two_values_that_are_compared_as_texts_are_left_to_sqlite() {
    let (_dir, conn) = file(0);
    conn.execute_batch(
        "CREATE TABLE w(i INTEGER, s TEXT, b); INSERT INTO w VALUES (5, '05', 5), (5, '5', 5), (6, 'x', '6')",
    )
    .unwrap();
    for condition in ["+i = s", "s IN (i, 'x')", "+b = s"] {
        assert!(!compare::both(&conn, &format!("SELECT * FROM w WHERE {condition}")).0, "{condition}");
    }
    assert!(compare::both(&conn, "SELECT * FROM w WHERE i = s").1 > 0);
}

/// The statements of the page reader's own are no reason for an error.
#[test]
fn an_authorizer_may_forbid_the_schema() {
    let (_dir, conn) = file(3000);
    let expected: Vec<i64> = (2..=3000).step_by(2).collect();
    let scan = || conn.scan_table("t").select(["n"]).filter("even", Relation::Equal, 1);
    let _authorizer = conn
        .set_authorizer(|access| match access.action {
            Action::Read { table, .. } if table.starts_with("sqlite_") => Access::Deny,
            Action::Pragma { .. } => Access::Deny,
            _ => Access::Allow,
        })
        .unwrap();
    assert_eq!(column(scan()), expected);
}

/// The file ends within a value of a row that is not wanted.
#[test]
fn a_file_that_is_cut_off_in_an_unwanted_row_is_read() {
    let (dir, conn) = file(0);
    conn.execute_batch(
        "PRAGMA journal_mode = delete; CREATE TABLE c(n INTEGER, data);
         INSERT INTO c VALUES (1, 'one'), (2, 'two'), (3, 'three');
         UPDATE c SET data = randomblob(20000) WHERE n = 3",
    )
    .unwrap();
    conn.close().unwrap();
    let path = dir.path().join("a.db");
    let cut = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    cut.set_len(cut.metadata().unwrap().len() - 4000).unwrap();
    drop(cut);
    let conn = OpenOptions::new().read_only(true).open(&path).unwrap();
    let sql = "SELECT data FROM c WHERE n = 1 OR n = 2";
    assert_eq!(compare::both(&conn, sql), (true, 2));
    let mut end = None;
    let scan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).on_end(|plan| end = Some(plan));
    assert_eq!(scan.columns().unwrap().len(), 2);
    assert_eq!(end.unwrap().strategy, ScanStrategy::Pages);
    // Positive control: it is an error where the row is wanted.
    assert!(conn.scan("SELECT data FROM c WHERE n = 3 OR n = 4", ()).strategy(ScanStrategy::Pages).columns().is_err());
}

/// The key of an index that a list is stored in has `B` for `BINARY`, and for a collation of that name.
#[test]
fn a_collation_that_is_written_as_binary() {
    for (name, is_by_pages) in [("B", false), ("b", true), ("C", true)] {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("a.db")).unwrap();
        conn.create_collation(name, |left, right| left.to_lowercase().cmp(&right.to_lowercase())).unwrap();
        conn.execute_batch(&format!(
            "CREATE TABLE k(x TEXT, own TEXT COLLATE {name});
             WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 100)
             INSERT INTO k SELECT 'X' || (n % 5), 'X' || (n % 5) FROM i;"
        ))
        .unwrap();
        let own = compare::both(&conn, "SELECT x FROM k WHERE own IN ('x1', 'x2', 'y')");
        assert_eq!(own, (false, 40), "{name}");
        let binary = compare::both(&conn, "SELECT x FROM k WHERE x IN ('x1', 'X2', 'y')");
        assert_eq!(binary, (is_by_pages, 20), "{name}");
    }
}
