//! Random operations: statements over a few tables whose names mostly exist, values at the edges of their types, and SQL
//! with a mistake in it.

use super::drivers::{Given, Operation, READS, Value};
use super::random::Random;

const TABLES: [&str; 4] = ["t", "u", "v", "\"w x\""];
const COLUMNS: [&str; 6] = ["a", "b", "c", "d", "id", "rowid"];
const TYPES: [&str; 9] = ["INTEGER", "INT", "TEXT", "REAL", "BLOB", "NUMERIC", "VARCHAR(10)", "BOOLEAN", ""];
const STRICT_TYPES: [&str; 6] = ["INTEGER", "INT", "TEXT", "REAL", "BLOB", "ANY"];
const INTEGERS: [i64; 12] = [0, 1, -1, 2, 7, 255, 256, 1 << 31, (1 << 53) + 1, i64::MAX, i64::MIN, -129];
const REALS: [f64; 9] = [0.0, -0.0, 0.5, 1.0, -2.5, 1e300, 9.007_199_254_740_993e15, f64::INFINITY, f64::NAN];
const TEXTS: [&str; 10] = ["", "a", "A", "abc", "12", "1.5", " 3", "é", "𝄞 x", "it's"];
const BINARY: [&str; 22] = [
    "+", "-", "*", "/", "%", "||", "=", "<>", "<", "<=", ">", ">=", "IS", "IS NOT", "AND", "OR", "LIKE", "GLOB", "&",
    "|", "<<", ">>",
];
const FUNCTIONS: [(&str, usize); 26] = [
    ("abs", 1),
    ("length", 1),
    ("upper", 1),
    ("lower", 1),
    ("typeof", 1),
    ("hex", 1),
    ("quote", 1),
    ("round", 1),
    ("unicode", 1),
    ("char", 2),
    ("coalesce", 2),
    ("nullif", 2),
    ("instr", 2),
    ("substr", 3),
    ("replace", 3),
    ("min", 2),
    ("max", 2),
    ("printf", 2),
    ("iif", 3),
    ("zeroblob", 1),
    ("json_extract", 2),
    ("trim", 1),
    ("changes", 0),
    ("last_insert_rowid", 0),
    ("random", 0),
    ("randomblob", 1),
];
const AGGREGATES: [&str; 7] = ["count(*)", "sum(a)", "avg(b)", "min(c)", "max(a)", "total(d)", "group_concat(a)"];

/// The script that a history begins with.
pub fn schema(random: &mut Random) -> String {
    let mut script = String::new();
    for (number, table) in TABLES.iter().enumerate() {
        let is_strict = random.one_in(4);
        let types: &[&str] = if is_strict { &STRICT_TYPES } else { &TYPES };
        let key =
            random.pick(&["id INTEGER PRIMARY KEY", "id INTEGER PRIMARY KEY AUTOINCREMENT", "id INT PRIMARY KEY"]);
        let is_without_rowid = key.ends_with("INT PRIMARY KEY") && random.one_in(2);
        script += &format!("CREATE TABLE {table}({key}");
        for column in ["a", "b", "c"] {
            let constraint = random.pick(&[
                "",
                "",
                "",
                " NOT NULL",
                " UNIQUE",
                " DEFAULT 5",
                " DEFAULT (1 + 1)",
                " COLLATE NOCASE",
                " CHECK (typeof(b) <> 'blob')",
                " UNIQUE ON CONFLICT REPLACE",
                " NOT NULL ON CONFLICT IGNORE",
            ]);
            script += &format!(", {column} {}{constraint}", random.pick(types));
        }
        script += &match random.below(4) {
            0 if number > 0 => {
                let deferred =
                    random.pick(&["", " DEFERRABLE INITIALLY DEFERRED", " ON DELETE CASCADE", " ON DELETE SET NULL"]);
                format!(", d {} REFERENCES t(id){deferred}", if is_strict { "ANY" } else { "" })
            }
            1 => format!(", d {} AS (length(a))", if is_strict { "INT" } else { "" }),
            _ => format!(", d {}", random.pick(types)),
        };
        script += match (is_strict, is_without_rowid) {
            (false, false) => ");\n",
            (true, false) => ") STRICT;\n",
            (false, true) => ") WITHOUT ROWID;\n",
            (true, true) => ") STRICT, WITHOUT ROWID;\n",
        };
    }
    for table in TABLES {
        for id in 1..=random.below(7) {
            let mut writer = Writer { random, parameters: 0, by_name: false, has_columns: false };
            let values = [writer.literal(), writer.literal(), writer.literal()].join(", ");
            script += &format!("INSERT OR IGNORE INTO {table} (id, a, b, c) VALUES ({id}, {values});\n");
        }
    }
    if random.one_in(2) {
        script += "CREATE INDEX i ON t(a, b); CREATE UNIQUE INDEX j ON u(c) WHERE c IS NOT NULL;\n";
    }
    if random.one_in(2) {
        script += "CREATE VIEW view AS SELECT t.id, u.a, t.b FROM t LEFT JOIN u ON t.id = u.id;\n";
    }
    if random.one_in(2) {
        script += "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE u SET b = new.a WHERE id = new.id; END;\n";
    }
    if random.one_in(3) {
        script += "CREATE TRIGGER s BEFORE DELETE ON u WHEN old.a = 7 BEGIN SELECT raise(ABORT, 'seven stays'); END;\n";
    }
    script
}

pub fn operation(random: &mut Random) -> Operation {
    if random.one_in(12) {
        let script = script(random);
        return Operation::Batch { script: damaged(script, random) };
    }
    let by_name = random.one_in(3);
    let mut writer = Writer { random, parameters: 0, by_name, has_columns: true };
    let (sql, returns_rows) = writer.statement();
    let count = writer.parameters;
    let given = given(count, by_name, random);
    let sql = damaged(sql, random);
    // Now and then the call that does not fit.
    let reads = returns_rows != random.one_in(40);
    match (reads, random.below(12)) {
        (_, 0) => Operation::Describe { sql },
        (_, 1) => Operation::Expand { sql, given },
        (_, 2) => {
            let between = change_of_schema(random);
            Operation::Again { sql, given, between }
        }
        (false, 3..=8) => Operation::Execute { sql, given },
        (true, 3) => Operation::Query { sql, given, most: random.below(3) },
        (true, 4 | 5) => Operation::One { sql, given, read: random.pick(&READS) },
        (true, 6 | 7) => Operation::Row { sql, given, column: random.below(3), read: random.pick(&READS) },
        _ => Operation::Query { sql, given, most: usize::MAX },
    }
}

/// Values for the parameters, now and then one too many or too few.
fn given(count: usize, by_name: bool, random: &mut Random) -> Given {
    let count = match random.below(30) {
        0 => count + 1,
        1 => count.saturating_sub(1),
        _ => count,
    };
    let values = (0..count).map(|_| value(random));
    if by_name {
        Given::ByName(values.enumerate().map(|(number, value)| (format!(":p{number}"), value)).collect())
    } else {
        Given::ByPosition(values.collect())
    }
}

fn value(random: &mut Random) -> Value {
    match random.below(8) {
        0 => Value::Null,
        1 | 2 => Value::Integer(random.pick(&INTEGERS)),
        3 => Value::Integer(random.below(10) as i64),
        4 => Value::Real(random.pick(&REALS)),
        5 | 6 => Value::Text(random.pick(&TEXTS).into()),
        _ => {
            let len = random.below(4);
            Value::Blob(random.bytes(len))
        }
    }
}

/// Several statements, some of which begin or end transactions.
fn script(random: &mut Random) -> String {
    let mut script = String::new();
    for _ in 0..=random.below(4) {
        script += &match random.below(10) {
            0 => "BEGIN".to_owned(),
            1 => "COMMIT".to_owned(),
            2 => "ROLLBACK".to_owned(),
            3 => "SAVEPOINT p".to_owned(),
            4 => random.pick(&["RELEASE p", "ROLLBACK TO p"]).to_owned(),
            5 => format!("ALTER TABLE {} ADD COLUMN e DEFAULT 1", random.pick(&TABLES)),
            6 => "-- a comment\n".to_owned(),
            _ => Writer { random, parameters: 0, by_name: false, has_columns: true }.without_parameters(),
        };
        script += random.pick(&[";", "; ", ";\n", ";;"]);
    }
    script
}

/// What makes SQLite prepare statements anew, without a transaction.
fn change_of_schema(random: &mut Random) -> String {
    let table = random.pick(&TABLES);
    match random.below(6) {
        0 => format!("ALTER TABLE {table} ADD COLUMN e DEFAULT 1"),
        1 => format!("ALTER TABLE {table} RENAME COLUMN c TO g; ALTER TABLE {table} RENAME COLUMN g TO c"),
        2 => format!("CREATE INDEX l ON {table}(c)"),
        3 => "DROP INDEX l".to_owned(),
        4 => format!("DROP TABLE {table}"),
        _ => format!("CREATE TRIGGER {table} BEFORE UPDATE ON {table} BEGIN SELECT 1; END"),
    }
}

/// Removes, doubles or changes a character, now and then.
fn damaged(sql: String, random: &mut Random) -> String {
    if !random.one_in(8) || sql.is_empty() {
        return sql;
    }
    let mut chars: Vec<char> = sql.chars().collect();
    let at = random.below(chars.len());
    match random.below(4) {
        0 => drop(chars.remove(at)),
        1 => chars.insert(at, chars[at]),
        2 => chars[at] = random.pick(&['(', ')', '\'', '"', ',', '9', 'x', ';', '?', 'é', '\n', '\0', '-']),
        _ => chars.truncate(at),
    }
    chars.into_iter().collect()
}

/// Writes one statement, and counts its parameters.
struct Writer<'r> {
    random: &'r mut Random,
    parameters: usize,
    by_name: bool,
    /// Whether columns may be named where the statement is.
    has_columns: bool,
}

impl Writer<'_> {
    fn table(&mut self) -> &'static str {
        if self.random.one_in(20) {
            self.random.pick(&["missing", "sqlite_schema", "view"])
        } else {
            self.random.pick(&TABLES)
        }
    }

    fn column(&mut self) -> &'static str {
        if self.random.one_in(30) { "missing" } else { self.random.pick(&COLUMNS) }
    }

    fn stored_column(&mut self) -> &'static str {
        self.random.pick(&["a", "b", "c", "d", "id"])
    }

    fn parameter(&mut self) -> String {
        let number = self.parameters;
        self.parameters += 1;
        if self.by_name { format!(":p{number}") } else { "?".to_owned() }
    }

    fn literal(&mut self) -> String {
        match self.random.below(6) {
            0 => "NULL".to_owned(),
            1 => self
                .random
                .pick(&["0", "1", "-1", "9223372036854775807", "-9223372036854775808", "1e400", "0x10"])
                .to_owned(),
            2 => self.random.below(10).to_string(),
            3 => self.random.pick(&["0.5", "-2.5", "1e10", ".25", "1.0"]).to_owned(),
            4 => format!("'{}'", self.random.pick(&TEXTS).replace('\'', "''")),
            _ => self.random.pick(&["x''", "x'00ff'", "x'4142'", "CAST(x'41ff' AS TEXT)"]).to_owned(),
        }
    }

    fn expression(&mut self, depth: usize) -> String {
        if depth == 0 {
            return match self.random.below(4) {
                0 | 1 if self.has_columns || self.random.one_in(50) => self.column().to_owned(),
                0..=2 => self.literal(),
                _ => self.parameter(),
            };
        }
        let depth = depth - 1;
        match self.random.below(11) {
            0..=2 => self.expression(0),
            3 | 4 => {
                let left = self.expression(depth);
                let operator = self.random.pick(&BINARY);
                format!("({left} {operator} {})", self.expression(depth))
            }
            5 => format!("{}{}", self.random.pick(&["-", "+", "~", "NOT "]), self.expression(0)),
            6 | 7 => {
                let (name, count) = self.random.pick(&FUNCTIONS);
                let arguments: Vec<_> = (0..count).map(|_| self.expression(depth)).collect();
                format!("{name}({})", arguments.join(", "))
            }
            8 => {
                let (when, then) = (self.expression(depth), self.expression(0));
                format!("CASE WHEN {when} THEN {then} ELSE {} END", self.expression(0))
            }
            9 => {
                let inner = self.expression(depth);
                let target = self.random.pick(&["INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC"]);
                format!("CAST({inner} AS {target})")
            }
            _ => {
                let (table, column, outside) = (self.table(), self.column(), self.has_columns);
                self.has_columns = true;
                let condition = self.expression(0);
                self.has_columns = outside;
                format!("(SELECT {column} FROM {table} WHERE {condition} LIMIT 1)")
            }
        }
    }

    fn condition(&mut self) -> String {
        if self.random.one_in(3) {
            return String::new();
        }
        let expression = match self.random.below(4) {
            0 => format!("{} IN ({}, {})", self.column(), self.expression(0), self.expression(0)),
            1 => format!("{} BETWEEN {} AND {}", self.column(), self.expression(0), self.expression(0)),
            _ => self.expression(2),
        };
        format!(" WHERE {expression}")
    }

    fn select(&mut self) -> String {
        let distinct = if self.random.one_in(8) { "DISTINCT " } else { "" };
        let table = self.table();
        if self.random.one_in(6) {
            let aggregate = self.random.pick(&AGGREGATES);
            let column = self.column();
            let condition = self.condition();
            return format!("SELECT {column}, {aggregate} AS n FROM {table}{condition} GROUP BY {column}");
        }
        let from = match self.random.below(6) {
            0 => String::new(),
            1 => format!(" FROM {table} JOIN {} USING (id)", self.random.pick(&TABLES)),
            _ => format!(" FROM {table}"),
        };
        self.has_columns = !from.is_empty();
        let list = match self.random.below(5) {
            0 if from.is_empty() => "1".to_owned(),
            2 if from.is_empty() => self.expression(3),
            0 => "*".to_owned(),
            1 => format!("{} AS \"x y\"", self.expression(2)),
            2 => self.random.pick(&AGGREGATES).to_owned(),
            _ => (0..=self.random.below(3)).map(|_| self.expression(2)).collect::<Vec<_>>().join(", "),
        };
        let condition = if from.is_empty() { String::new() } else { self.condition() };
        let order = match self.random.below(4) {
            0 => format!(" ORDER BY {}", self.expression(1)),
            1 => " ORDER BY 1 DESC LIMIT 3".to_owned(),
            2 => {
                self.has_columns = false;
                format!(" LIMIT {}", self.expression(0))
            }
            _ => String::new(),
        };
        self.has_columns = true;
        format!("SELECT {distinct}{list}{from}{condition}{order}")
    }

    fn insert(&mut self) -> String {
        let or = self.random.pick(&["", "", "", " OR IGNORE", " OR REPLACE", " OR ABORT", " OR FAIL", " OR ROLLBACK"]);
        let table = self.table();
        let (first, second) = (self.stored_column(), self.stored_column());
        let source = match self.random.below(6) {
            0 => "DEFAULT VALUES".to_owned(),
            1 => format!("({first}) {}", self.select()),
            _ => {
                self.has_columns = false;
                let rows: Vec<_> = (0..=self.random.below(3))
                    .map(|_| format!("({}, {})", self.expression(1), self.expression(0)))
                    .collect();
                format!("({first}, {second}) VALUES {}", rows.join(", "))
            }
        };
        self.has_columns = true;
        let conflict = match self.random.below(8) {
            0 if source.contains("VALUES (") => " ON CONFLICT DO NOTHING".to_owned(),
            1 if source.contains("VALUES (") => {
                format!(" ON CONFLICT(id) DO UPDATE SET {} = excluded.{}", self.stored_column(), self.stored_column())
            }
            _ => String::new(),
        };
        format!("INSERT{or} INTO {table} {source}{conflict}")
    }

    /// A statement that changes rows, and whether it returns some.
    fn change(&mut self, statement: String) -> (String, bool) {
        if self.random.one_in(4) {
            (format!("{statement} RETURNING {}", self.expression(1)), true)
        } else {
            (statement, false)
        }
    }

    /// Returns a statement, and whether it returns rows.
    fn statement(&mut self) -> (String, bool) {
        match self.random.below(26) {
            0..=7 => {
                let insert = self.insert();
                self.change(insert)
            }
            8..=15 => (self.select(), true),
            16 | 17 => {
                let (table, column, value) = (self.table(), self.stored_column(), self.expression(2));
                let condition = self.condition();
                self.change(format!("UPDATE {table} SET {column} = {value}{condition}"))
            }
            18 => {
                let (table, condition) = (self.table(), self.condition());
                self.change(format!("DELETE FROM {table}{condition}"))
            }
            19 => {
                let all = ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT p", "RELEASE p", "BEGIN IMMEDIATE"];
                (self.random.pick(&all).to_owned(), false)
            }
            20 => {
                let table = self.table();
                let statement = match self.random.below(5) {
                    0 => format!("CREATE INDEX IF NOT EXISTS k ON {table}(b)"),
                    1 => "DROP INDEX IF EXISTS k".to_owned(),
                    2 => "CREATE TABLE made AS SELECT * FROM t".to_owned(),
                    3 => "DROP TABLE IF EXISTS made".to_owned(),
                    _ => format!("ALTER TABLE {table} RENAME COLUMN e TO f"),
                };
                (statement, false)
            }
            21 => {
                let settings =
                    ["PRAGMA user_version = 3", "PRAGMA recursive_triggers = 1", "PRAGMA defer_foreign_keys = 1"];
                (self.random.pick(&settings).to_owned(), false)
            }
            22 => {
                let questions = [
                    "PRAGMA table_info(t)",
                    "PRAGMA foreign_key_check",
                    "PRAGMA integrity_check",
                    "PRAGMA user_version",
                    "EXPLAIN QUERY PLAN SELECT * FROM t WHERE a = 1",
                    "VALUES (1), (2)",
                ];
                (self.random.pick(&questions).to_owned(), true)
            }
            23 => {
                let first = self.select();
                (format!("WITH q AS ({first}) SELECT * FROM q UNION ALL SELECT * FROM q"), true)
            }
            24 => {
                let (table, missing) = (self.random.pick(&TABLES), self.random.below(200));
                (
                    format!("INSERT INTO {table} (a, b, c, d) VALUES ('{missing}', 1, 2.5, {missing}) RETURNING d, a"),
                    true,
                )
            }
            _ => {
                let odd = ["", " ", ";", "-- nothing", "/* open", "SELECT 1; SELECT 2", "SELECT 1; ;"];
                (self.random.pick(&odd).to_owned(), false)
            }
        }
    }

    /// A statement whose parameters are NULL.
    fn without_parameters(mut self) -> String {
        self.by_name = false;
        self.statement().0.replace('?', "NULL")
    }
}
