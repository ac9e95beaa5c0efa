//! The claims about columns, tried on generated schemas, statements and rows: no column that is said to be NOT NULL is
//! ever NULL, and none has a value of another type. Each rule is left out once, to show that the statements would find
//! out.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use finalite::ValueRef;

use crate::check::{Checked, Kind, Nullable, check};
use crate::schema::Schema;
use crate::shape::Rules;

/// Result of a trial.
#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    refused: usize,
    /// Columns that were said to be NOT NULL, in statements that had rows.
    claims: usize,
    columns: usize,
    violations: Vec<String>,
}

const SCHEMAS: u64 = 6;
const STATEMENTS: usize = 250;
/// Instructions after which a statement is left: joins of views multiply.
const LONG: u32 = 200_000;

fn schemas() -> u64 {
    std::env::var("FINALITE_PROOF_SCHEMAS").ok().and_then(|count| count.parse().ok()).unwrap_or(SCHEMAS)
}

#[test]
fn no_column_is_null_that_is_said_not_to_be() {
    let tally = tally(Rules::default(), schemas(), usize::MAX);
    let first = tally.violations.first();
    assert!(first.is_none(), "{} violations, the first: {}", tally.violations.len(), first.unwrap());
    // Not for lack of statements, of rows, or of claims.
    assert!(tally.accepted > 4 * tally.refused, "{tally:?}");
    assert!(tally.claims * 8 > tally.columns, "{tally:?}");
    println!("{tally:?}");
}

/// The positive control.
#[test]
fn each_rule_is_needed() {
    let all = Rules::default();
    let without = [
        ("outer joins", Rules { outer_joins: false, ..all }),
        ("compounds", Rules { compounds: false, ..all }),
        ("aggregates", Rules { aggregates: false, ..all }),
        ("scalar subqueries", Rules { scalar_subqueries: false, ..all }),
        ("views", Rules { views: false, ..all }),
    ];
    for (rule, rules) in without {
        let tally = tally(rules, 10 * SCHEMAS, 1);
        assert!(!tally.violations.is_empty(), "nothing needs the rule of {rule}: {tally:?}");
    }
}

/// Tries statements until there are so many violations.
fn tally(rules: Rules, schemas: u64, enough: usize) -> Tally {
    let mut tally = Tally::default();
    for seed in 1..=schemas {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let script = Generator::new(&mut random).schema();
        let schema = Schema::of_script(&script).unwrap_or_else(|error| panic!("{error}\n{script}"));
        let tables: Vec<String> = (0..TABLES).map(|table| format!("t{table}")).collect();
        for (state, statements) in [(0, STATEMENTS / 4), (1, STATEMENTS / 4), (2, STATEMENTS / 2)] {
            fill(&schema, &tables, state, &mut random);
            for _ in 0..statements {
                let sql = Generator::new(&mut random).statement();
                match check(&schema, &sql, rules) {
                    Ok(checked) => try_out(&schema, &script, &sql, &checked, &mut tally),
                    Err(_) => tally.refused += 1,
                }
                if tally.violations.len() >= enough {
                    return tally;
                }
            }
        }
    }
    tally
}

/// Runs a statement, and takes back what it wrote.
fn try_out(schema: &Schema, script: &str, sql: &str, checked: &Checked, tally: &mut Tally) {
    tally.accepted += 1;
    schema.conn.execute_batch("SAVEPOINT trial").unwrap();
    let mut rows_seen = 0;
    let mut run = || -> finalite::Result<Option<String>> {
        let mut statement = schema.conn.prepare(sql)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            rows_seen += 1;
            for (index, column) in checked.columns.iter().enumerate() {
                let value = row.value(index)?;
                let is_of_kind = matches!(
                    (column.kind, value),
                    (None, _)
                        | (_, ValueRef::Null)
                        | (Some(Kind::Integer | Kind::Boolean), ValueRef::Integer(_))
                        | (Some(Kind::Real), ValueRef::Real(_))
                        | (Some(Kind::Text), ValueRef::Text(_))
                        | (Some(Kind::Blob), ValueRef::Blob(_))
                );
                if !is_of_kind || (column.nullable == Nullable::Never && matches!(value, ValueRef::Null)) {
                    return Ok(Some(format!("column {index} of\n{sql}\nis {value:?}, not {column:?}\n{script}")));
                }
            }
        }
        Ok(None)
    };
    // Other errors are of the rows: a constraint, an overflow.
    let long = schema.conn.on_progress(LONG, || ControlFlow::Break(())).unwrap();
    let violation = run().unwrap_or_default();
    drop(long);
    // A write that is interrupted has ended the transaction.
    if !schema.conn.is_autocommit() {
        schema.conn.execute_batch("ROLLBACK TO trial; RELEASE trial").unwrap();
    }
    if rows_seen > 0 {
        tally.columns += checked.columns.len();
        tally.claims += checked.columns.iter().filter(|column| column.nullable == Nullable::Never).count();
    }
    tally.violations.extend(violation);
}

/// Fills the tables: not at all, some of them, or all.
fn fill(schema: &Schema, tables: &[String], state: usize, random: &mut Random) {
    for table in tables {
        schema.conn.execute_batch(&format!("DELETE FROM {table}")).unwrap();
        if state == 0 || (state == 1 && random.one_in(2)) {
            continue;
        }
        let columns = schema.conn.schema().table(table).unwrap().unwrap().columns;
        for row in 1..=random.below(5) + 1 {
            let (mut names, mut values) = (Vec::new(), Vec::new());
            for column in columns.iter().filter(|column| column.generated.is_none()) {
                names.push(column.name.to_string());
                let is_null = !column.is_not_null && random.one_in(3);
                values.push(match (is_null, column.declared_type.as_deref()) {
                    (true, _) => "NULL".to_owned(),
                    (false, Some("INTEGER" | "INT" | "BOOLEAN")) => (row + random.below(2) * 7).to_string(),
                    (false, Some("REAL")) => format!("{row}.5"),
                    (false, Some("TEXT")) => format!("'x{row}'"),
                    (false, _) => format!("x'0{row}'"),
                });
            }
            // A key that is there already is left out.
            let insert = format!("INSERT OR IGNORE INTO {table}({}) VALUES ({})", names.join(", "), values.join(", "));
            schema.conn.execute_batch(&insert).unwrap();
        }
    }
}

const TABLES: usize = 4;
const VIEWS: usize = 4;

/// Writes statements. Names are the same everywhere, so that most of them fit.
struct Generator<'r> {
    random: &'r mut Random,
    /// Views and common tables that may be read.
    names: Vec<String>,
    next: usize,
}

impl<'r> Generator<'r> {
    fn new(random: &'r mut Random) -> Self {
        Self { random, names: (0..VIEWS).map(|view| format!("v{view}")).collect(), next: 0 }
    }

    /// A schema whose tables all have the columns `k`, `a`, `b`, `c`, `d` and `e`.
    fn schema(&mut self) -> String {
        let mut script = String::new();
        for table in 0..TABLES {
            let key = self.random.pick(&[
                ("INTEGER PRIMARY KEY", ""),
                ("INT PRIMARY KEY", ""),
                ("INTEGER PRIMARY KEY DESC", ""),
                ("TEXT PRIMARY KEY", " WITHOUT ROWID"),
                ("INTEGER NOT NULL", ""),
                ("INTEGER PRIMARY KEY AUTOINCREMENT", ""),
                ("INTEGER", ""),
            ]);
            let _ = write!(script, "CREATE TABLE t{table}(k {}", key.0);
            for (name, ty) in [("a", "INTEGER"), ("b", "TEXT"), ("c", "REAL"), ("d", "BLOB")] {
                let not_null =
                    self.random.pick(&[" NOT NULL", "", " NOT NULL", " NOT NULL ON CONFLICT REPLACE DEFAULT 1"]);
                let not_null = if name == "a" || !not_null.contains("DEFAULT") { not_null } else { " NOT NULL" };
                let _ = write!(script, ", {name} {ty}{not_null}");
            }
            let generated = self.random.pick(&[
                "e BOOLEAN NOT NULL DEFAULT 1",
                "e INTEGER NOT NULL AS (a + 1)",
                "e INTEGER NOT NULL AS (a + 1) STORED",
                "e INTEGER AS (a + 1)",
            ]);
            let generated = if generated.contains("NOT NULL AS")
                && script.rsplit("CREATE").next().is_some_and(|table| !table.contains("a INTEGER NOT NULL"))
            {
                "e BOOLEAN"
            } else {
                generated
            };
            let _ = writeln!(script, ", {generated}){};", key.1);
        }
        self.names.clear();
        for view in 0..VIEWS {
            let query = self.query(2);
            let _ = writeln!(script, "CREATE VIEW v{view}(k, a, b, c, d, e) AS {query};");
            self.names.push(format!("v{view}"));
        }
        script
    }

    fn statement(&mut self) -> String {
        if self.random.one_in(5) { self.write() } else { self.top() }
    }

    /// A SELECT whose columns are whatever comes.
    fn top(&mut self) -> String {
        if self.random.one_in(4) {
            return self.query(3);
        }
        let with = self.with(2);
        let select = self.select(2, false);
        let tail = self.random.pick(&["", "", " ORDER BY 1", " LIMIT 3"]);
        format!("{with}{select}{tail}")
    }

    fn with(&mut self, depth: usize) -> String {
        if !self.random.one_in(4) {
            return String::new();
        }
        let name = format!("w{}", self.fresh());
        let text = if self.random.one_in(4) {
            let start = self.select(0, true);
            format!(
                "WITH RECURSIVE {name}(k, a, b, c, d, e) AS ({start} UNION ALL SELECT NULL, a, b, c, d, e FROM {name} LIMIT 4) "
            )
        } else {
            let query = self.query(depth.saturating_sub(1));
            let hint = self.random.pick(&["", "", "MATERIALIZED ", "NOT MATERIALIZED "]);
            format!("WITH {name}(k, a, b, c, d, e) AS {hint}({query}) ")
        };
        self.names.push(name);
        text
    }

    /// A query with the columns `k`, `a`, `b`, `c`, `d` and `e`.
    fn query(&mut self, depth: usize) -> String {
        let names = self.names.len();
        let mut text = if depth > 0 { self.with(depth) } else { String::new() };
        text += &self.select(depth, true);
        while self.random.one_in(6) {
            let word = self.random.pick(&["UNION ALL", "UNION", "EXCEPT", "INTERSECT"]);
            let other = self.select(depth.saturating_sub(1), true);
            let _ = write!(text, " {word} {other}");
        }
        if self.random.one_in(5) {
            text += " ORDER BY 1 LIMIT 3";
        }
        self.names.truncate(names);
        text
    }

    fn select(&mut self, depth: usize, is_named: bool) -> String {
        let mut sources = Vec::new();
        let from = self.from(depth, &mut sources);
        let is_distinct = self.random.one_in(6);
        let is_grouped = self.random.one_in(5);
        let is_aggregate = self.random.one_in(6);
        let mut items = Vec::new();
        if is_named {
            if self.random.one_in(4) && sources.len() == 1 && !is_aggregate {
                items.push("*".to_owned());
            } else {
                for name in ["k", "a", "b", "c", "d", "e"] {
                    let item = self.item(&sources, depth, Some(name), is_aggregate);
                    items.push(format!("{item} AS {name}"));
                }
            }
        } else {
            for number in 0..=self.random.below(4) {
                let item = self.item(&sources, depth, None, is_aggregate);
                items.push(if item.ends_with('*') || self.random.one_in(2) {
                    item
                } else {
                    format!("{item} AS x{number}")
                });
            }
        }
        let mut text = format!("SELECT {}{} FROM {from}", if is_distinct { "DISTINCT " } else { "" }, items.join(", "));
        if self.random.one_in(3) {
            let condition = self.condition(&sources, depth);
            let _ = write!(text, " WHERE {condition}");
        }
        if is_grouped {
            let column = self.column(&sources, None);
            let _ = write!(text, " GROUP BY {column}");
            if self.random.one_in(3) {
                text += " HAVING count(*) > 0";
            }
        } else if is_aggregate && self.random.one_in(4) {
            text += " HAVING count(*) >= 0";
        }
        text
    }

    fn from(&mut self, depth: usize, sources: &mut Vec<String>) -> String {
        let mut text = self.source(depth, sources);
        for _ in 0..self.random.pick(&[0, 0, 1, 1, 2]) {
            let join = self.random.pick(&[
                ",",
                " JOIN",
                " JOIN",
                " CROSS JOIN",
                " INNER JOIN",
                " LEFT JOIN",
                " LEFT JOIN",
                " left outer join",
                " LEFT /* JOIN */ JOIN",
                " RIGHT JOIN",
                " FULL OUTER JOIN",
            ]);
            let right = self.source(depth, sources);
            let _ = write!(text, "{join} {right}");
            if join != "," && !self.random.one_in(4) {
                let condition = self.condition(sources, 0);
                let _ = write!(text, " ON {condition}");
            }
        }
        text
    }

    fn source(&mut self, depth: usize, sources: &mut Vec<String>) -> String {
        let alias = format!("s{}", self.fresh());
        let text = match self.random.below(if depth > 0 { 8 } else { 5 }) {
            5 | 6 => format!("({})", self.query(depth - 1)),
            7 if self.random.one_in(2) => {
                return format!("({})", self.from(depth - 1, sources));
            }
            3 | 4 if !self.names.is_empty() => {
                let at = self.random.below(self.names.len());
                self.names[at].clone()
            }
            _ => format!("{}t{}", self.random.pick(&["", "", "main."]), self.random.below(TABLES)),
        };
        sources.push(alias.clone());
        // An alias may be a word that begins a clause elsewhere.
        format!("{text} {}{alias}", self.random.pick(&["", "AS "]))
    }

    fn column(&mut self, sources: &[String], name: Option<&str>) -> String {
        let at = self.random.below(sources.len());
        let name = name.unwrap_or_else(|| self.random.pick(&["k", "a", "b", "c", "d", "e"]));
        format!("{}.{name}", sources[at])
    }

    fn condition(&mut self, sources: &[String], depth: usize) -> String {
        let (one, other) = (self.column(sources, None), self.column(sources, None));
        match self.random.below(if depth > 0 { 8 } else { 5 }) {
            0 => format!("{one} = {other}"),
            1 => "1".into(),
            2 => "0".into(),
            3 => format!("{one} IS NOT NULL"),
            4 => format!("{one} IS NOT DISTINCT FROM {other}"),
            5 => format!("{one} IN (SELECT k FROM t{})", self.random.below(TABLES)),
            6 => format!("EXISTS (SELECT 1 FROM t{} WHERE a = {one})", self.random.below(TABLES)),
            _ => format!("{one} < (SELECT max(a) FROM t{})", self.random.below(TABLES)),
        }
    }

    fn item(&mut self, sources: &[String], depth: usize, name: Option<&str>, is_aggregate: bool) -> String {
        let column = self.column(sources, name);
        let table = self.random.below(TABLES);
        let scalar = name.unwrap_or("a");
        match self.random.below(24) {
            0 if is_aggregate => format!("max({column})"),
            1 if is_aggregate => "count(*)".into(),
            2 if is_aggregate => format!("sum({column})"),
            3 if is_aggregate => format!("(SELECT count({column}))"),
            4 => format!("(SELECT {scalar} FROM t{table} WHERE a = 7)"),
            5 => format!("(SELECT count(*) FROM t{table} WHERE a = {column})"),
            6 => format!("coalesce({column}, 1)"),
            7 => "NULL".into(),
            8 => format!("row_number() OVER (ORDER BY {column})"),
            9 => format!("lag({column}) OVER ()"),
            10 => format!("CASE WHEN {column} > 2 THEN {column} END"),
            11 => format!("({column})"),
            12 if depth > 0 => format!("((SELECT {scalar} FROM t{table} LIMIT 1))"),
            13 if name.is_none() => "*".into(),
            14 if name.is_none() => format!("{}.*", sources[self.random.below(sources.len())]),
            15 => format!("max({column}, {column})"),
            16 => format!("+{column}"),
            _ => column,
        }
    }

    fn write(&mut self) -> String {
        let table = format!("t{}", self.random.below(TABLES));
        // Of the declared types: SQLite would store any.
        let (a, b) = (self.random.pick(&["NULL", "1", "2"]), self.random.pick(&["NULL", "'x'", "'y'"]));
        let key = self.random.pick(&["NULL", "1", "2", "9"]);
        let returning = match self.random.below(4) {
            0 => "*".to_owned(),
            1 => "k, a, b AS x".to_owned(),
            2 => format!("k, (SELECT a FROM t{} WHERE k = 7) AS x, e", self.random.below(TABLES)),
            _ => "*, a + 1, c AS c1, (SELECT 1 WHERE 0)".to_owned(),
        };
        let or = self.random.pick(&["", "", " OR IGNORE", " OR REPLACE"]);
        match self.random.below(5) {
            0 => {
                format!(
                    "INSERT{or} INTO {table}(k, a, b, c, d) VALUES ({key}, {a}, {b}, 1.5, x'00') RETURNING {returning}"
                )
            }
            1 => format!("INSERT{or} INTO {table}(a, b, c, d) SELECT a, b, c, d FROM t0 RETURNING {returning}"),
            2 => {
                format!("UPDATE{or} {table} SET a = {a}, b = {b} RETURNING {returning}")
            }
            3 => format!("UPDATE {table} SET a = o.a FROM t0 LEFT JOIN t1 o WHERE 1 RETURNING {returning}"),
            _ => format!("DELETE FROM {table} WHERE a > 1 RETURNING {returning}"),
        }
    }

    fn fresh(&mut self) -> usize {
        self.next += 1;
        self.next
    }
}

/// The generator xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from((self.next() >> 33) % (end as u64)).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}
