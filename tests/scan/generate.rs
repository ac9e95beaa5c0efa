//! Tables and queries made of a seed.

use finalite::{Connection, OpenOptions, Value, params_from_iter};

use crate::common::random::Random;

/// Of the numbers that these tests take.
pub const STREAM: u64 = 0x2545_f491_4f6c_dd1d;

/// A database, and what to ask it.
pub struct World {
    pub conn: Connection,
    pub queries: Vec<String>,
}

const ENCODINGS: [&str; 3] = ["UTF-8", "UTF-16le", "UTF-16be"];
const STRICT_TYPES: [&str; 6] = ["INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"];
/// Each affinity, by more than one name, with those that mislead.
const TYPES: [&str; 20] = [
    "INTEGER",
    "INT",
    "unsigned big int",
    "CHARINT",
    "FLOATING POINT",
    "TEXT",
    "VARCHAR(10)",
    "clob",
    "NATIVE CHARACTER(70)",
    "BLOB",
    "BLOB_REAL",
    "REAL",
    "DOUBLE PRECISION",
    "FLOAT",
    "NUMERIC",
    "DECIMAL(10, 5)",
    "DATE",
    "BOOLEAN",
    "ANY",
    "",
];
const ROWS: [usize; 10] = [0, 1, 2, 3, 7, 8, 9, 16, 17, 25];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    Integer,
    Real,
    Text,
    /// Not UTF-8 in all rows.
    Invalid,
    /// The first and the second byte of a character, in turn: together they are UTF-8.
    Halves,
    Blob,
}

const CLASSES: [Class; 6] = [Class::Integer, Class::Real, Class::Text, Class::Invalid, Class::Halves, Class::Blob];

/// Which classes of values a column has.
#[derive(Clone, Copy, Debug)]
enum Mix {
    One(Class),
    /// Of one class but for a row of another.
    OneBut(Class, usize, Class),
    Numbers,
    Any,
}

#[derive(Clone, Copy, Debug)]
enum Nulls {
    None,
    All,
    First,
    Last,
    Eighth,
    AllButLast,
    Some,
}

const NULLS: [Nulls; 9] = [
    Nulls::None,
    Nulls::None,
    Nulls::None,
    Nulls::All,
    Nulls::First,
    Nulls::Last,
    Nulls::Eighth,
    Nulls::AllButLast,
    Nulls::Some,
];

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, STREAM);
        let options = OpenOptions::new().pragma("encoding", random.pick(&ENCODINGS));
        let options = if random.one_in(3) { options.lookaside(0, 0) } else { options };
        let conn = options.open_in_memory().unwrap();
        let columns = fill(&conn, &mut random);
        let queries = queries(&columns, &mut random);
        Self { conn, queries }
    }
}

/// Makes the table `t`, and returns its columns' names, quoted.
fn fill(conn: &Connection, random: &mut Random) -> Vec<String> {
    let is_strict = random.one_in(3);
    let rows = random.pick(&ROWS);
    let mut columns = Vec::new();
    let (mut names, mut declarations) = (Vec::new(), String::new());
    for column in 0..1 + random.below(5) {
        let declared = random.pick(if is_strict { &STRICT_TYPES } else { &TYPES });
        let mix = if is_strict { strict_mix(declared, random) } else { any_mix(rows, random) };
        columns.push((mix, random.pick(&NULLS)));
        let name = format!("\"c{column}{}\"", random.pick(&["", "", " x", "ö", "\"\""]));
        declarations += &format!(", {name} {declared}");
        names.push(name);
    }
    let options = match (is_strict, random.one_in(3)) {
        (true, true) => "STRICT, WITHOUT ROWID",
        (true, false) => "STRICT",
        (false, true) => "WITHOUT ROWID",
        (false, false) => "",
    };
    conn.execute(&format!("CREATE TABLE t(id INTEGER PRIMARY KEY{declarations}) {options}"), ()).unwrap();
    for row in 0..rows {
        let mut sql = "INSERT INTO t VALUES (?".to_owned();
        let mut values = vec![Value::Integer(i64::try_from(row).unwrap())];
        for &(mix, nulls) in &columns {
            let class = class(mix, row, random);
            let is_cast = matches!(class, Class::Invalid | Class::Halves);
            sql += if is_cast { ", CAST(? AS TEXT)" } else { ", ?" };
            values.push(if is_null(nulls, row, rows, random) { Value::Null } else { value(class, row, random) });
        }
        conn.execute(&format!("{sql})"), params_from_iter(values)).unwrap();
    }
    names
}

fn strict_mix(declared: &str, random: &mut Random) -> Mix {
    match declared {
        "INT" | "INTEGER" => Mix::One(Class::Integer),
        "REAL" => Mix::One(Class::Real),
        "TEXT" => Mix::One(random.pick(&[Class::Text, Class::Invalid, Class::Halves])),
        "BLOB" => Mix::One(Class::Blob),
        _ => Mix::Any,
    }
}

fn any_mix(rows: usize, random: &mut Random) -> Mix {
    match random.below(6) {
        0 => Mix::Any,
        1 => Mix::Numbers,
        2 => Mix::OneBut(random.pick(&CLASSES), random.below(rows + 1), random.pick(&CLASSES)),
        _ => Mix::One(random.pick(&CLASSES)),
    }
}

fn class(mix: Mix, row: usize, random: &mut Random) -> Class {
    match mix {
        Mix::One(class) => class,
        Mix::OneBut(_, other_row, other) if other_row == row => other,
        Mix::OneBut(class, ..) => class,
        Mix::Numbers => random.pick(&[Class::Integer, Class::Real]),
        Mix::Any => random.pick(&CLASSES),
    }
}

fn is_null(nulls: Nulls, row: usize, rows: usize, random: &mut Random) -> bool {
    match nulls {
        Nulls::None => false,
        Nulls::All => true,
        Nulls::First => row == 0,
        Nulls::Last => row + 1 == rows,
        Nulls::Eighth => row % 8 == 7,
        Nulls::AllButLast => row + 1 != rows,
        Nulls::Some => random.one_in(2),
    }
}

fn value(class: Class, row: usize, random: &mut Random) -> Value {
    const EXACT_MAX: i64 = 1 << 53;
    match class {
        Class::Integer => {
            let any = i64::from_le_bytes(random.next().to_le_bytes());
            let shift = random.below(64);
            let extremes = [0, 1, -1, 255, i64::MIN, i64::MAX, EXACT_MAX, EXACT_MAX + 1, -EXACT_MAX - 1, any >> shift];
            Value::Integer(random.pick(&extremes))
        }
        Class::Real => {
            let any = f64::from_bits(random.next());
            let any = if any.is_nan() { 0.5 } else { any };
            let extremes =
                [0.0, -0.0, 0.1, 1.0, -1e15, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NEG_INFINITY, any];
            Value::Real(random.pick(&extremes))
        }
        Class::Text => Value::Text(match random.below(8) {
            0 => String::new(),
            1 => "a".to_owned(),
            2 => "\u{1f600}".to_owned(),
            3 => "a\0b".to_owned(),
            4 => "12".to_owned(),
            5 if random.one_in(4) => "größe ".repeat(1 + random.below(1250)),
            _ => "äbc \u{20ac} x\n".chars().cycle().skip(random.below(8)).take(random.below(40)).collect(),
        }),
        Class::Halves => Value::Blob(vec![if row.is_multiple_of(2) { 0xc3 } else { 0xa4 }]),
        Class::Invalid => Value::Blob(match random.below(7) {
            0 => vec![0xff],
            1 => vec![0xc3],
            2 => vec![0xa4],
            3 => b"a\xe2\x82".to_vec(),
            4 => vec![0x00, 0xd8],
            5 => random.bytes(9),
            _ => b"sound, of an even length".to_vec(),
        }),
        Class::Blob => {
            let len = match random.below(6) {
                0 => 0,
                1 => 1,
                2 if random.one_in(4) => 10_000,
                _ => random.below(50),
            };
            Value::Blob(random.bytes(len))
        }
    }
}

fn queries(columns: &[String], random: &mut Random) -> Vec<String> {
    let all = columns.join(", ");
    let (c, d) = (&columns[random.below(columns.len())], &columns[random.below(columns.len())]);
    let many: Vec<String> = (0..100).map(|n| format!("{} AS n{n}", random.pick(&[&**c, &**d, "id", "NULL"]))).collect();
    vec![
        "SELECT * FROM t".to_owned(),
        "SELECT * FROM t ORDER BY id DESC".to_owned(),
        format!("SELECT {all}, id FROM t ORDER BY {c}, {d}"),
        format!("SELECT {all} FROM t WHERE id % 3 = 0 OR {c} IS NULL"),
        format!("SELECT {c}, count(*), max({d}), min({d}), count({d}) FROM t GROUP BY 1"),
        format!("SELECT {c} FROM t UNION ALL SELECT {d} FROM t UNION ALL SELECT id FROM t"),
        format!("SELECT a.{c}, b.{d}, b.* FROM t a LEFT JOIN t b ON b.id = a.id + 1"),
        format!("SELECT {c} || 'x', {c} AS same, {d} AS SAME, CAST({c} AS REAL), zeroblob(id % 5), NULL FROM t"),
        format!("SELECT typeof({c}), hex({d}), coalesce({c}, {d}, id), length({c}), abs(id - 7) / 2.0 FROM t"),
        "SELECT CASE id % 5 WHEN 0 THEN NULL WHEN 1 THEN id WHEN 2 THEN id + 0.5 WHEN 3 THEN 'text' ELSE x'00ff' END,
         CASE WHEN id % 2 THEN id ELSE id * 1.0 END, CASE WHEN id > 4 THEN 0.5 ELSE id + 9007199254740990 END FROM t"
            .to_owned(),
        format!("SELECT {} FROM t WHERE id < 4", many.join(", ")),
        "UPDATE t SET id = id RETURNING *".to_owned(),
        "DELETE FROM t WHERE id < 0 RETURNING *".to_owned(),
        "VALUES (1, 'one', x'01', NULL), (2.5, NULL, '', -0.0), (9e999, x'', '\u{e4}', -9e999)".to_owned(),
        "PRAGMA table_info(t)".to_owned(),
        "EXPLAIN SELECT * FROM t ORDER BY 1 DESC".to_owned(),
        format!("EXPLAIN QUERY PLAN SELECT {c} FROM t ORDER BY {d}"),
        "CREATE TABLE IF NOT EXISTS t(x)".to_owned(),
    ]
}
