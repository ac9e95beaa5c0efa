//! Columns into a table: `insert_columns`, beside the best loop in C that binds each row to a kept statement, and beside
//! finalite's own loop. In memory, and in files with a write-ahead log; with indexes; with a trigger.
//!
//! `inserts [--quick] [--rounds N]`. Each run inserts into a new database, in one transaction, and each pair is one round.

use std::path::Path;
use std::time::Instant;

use finalite::insert::{InsertColumn, InsertOptions, InsertStrategy};
use finalite::{Connection, OpenOptions};
use finalite_peers::reference::{Columns, Handle};
use finalite_peers::statistics::Estimate;
use finalite_peers::{Result, environment};

const INDEXES: [&str; 3] = ["CREATE INDEX x ON t(i1)", "CREATE INDEX y ON t(s2)", "CREATE INDEX z ON t(i2, r1)"];
const TRIGGER: &str =
    "CREATE TABLE log(id); CREATE TRIGGER logged AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END";

#[derive(Clone, Copy)]
struct Case {
    place: Place,
    indexes: usize,
    has_trigger: bool,
    has_id: bool,
    rows: usize,
}

#[derive(Clone, Copy)]
enum Place {
    Memory,
    /// A file with a write-ahead log, and the value of `synchronous`.
    File(i64),
}

impl Case {
    const fn new(place: Place, indexes: usize) -> Self {
        let rows = if matches!(place, Place::Memory) && indexes == 0 { 100_000 } else { 30_000 };
        Self { place, indexes, has_trigger: false, has_id: true, rows }
    }

    fn name(&self) -> String {
        let place = match self.place {
            Place::Memory => "memory",
            Place::File(1) => "WAL, NORMAL",
            Place::File(_) => "WAL, FULL",
        };
        let key = if self.has_id { "" } else { ", rowid by SQLite" };
        let trigger = if self.has_trigger { ", a trigger" } else { "" };
        format!("{place}, {} indexes{key}{trigger}, {} rows", self.indexes, self.rows)
    }

    fn open(&self, dir: &Path) -> Result<Connection> {
        let conn = match self.place {
            Place::Memory => Connection::open_in_memory()?,
            Place::File(synchronous) => {
                for end in ["", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(dir.join(format!("t.db{end}")));
                }
                let options = OpenOptions::new().pragma("journal_mode", "wal").pragma("synchronous", synchronous);
                options.open(dir.join("t.db"))?
            }
        };
        conn.execute_batch(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, i1 INTEGER, i2 INTEGER, r1 REAL, r2 REAL, s1 TEXT, s2 TEXT, b BLOB)",
        )?;
        INDEXES[..self.indexes].iter().try_for_each(|sql| conn.execute_batch(sql))?;
        if self.has_trigger {
            conn.execute_batch(TRIGGER)?;
        }
        Ok(conn)
    }
}

/// Rows as those of `sample`: texts of 13 and 35 bytes, blobs of 16; the keys in order.
fn columns(rows: usize) -> Columns {
    let mut all = Columns::default();
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for id in 1..=rows {
        all.id.push(i64::try_from(id).unwrap_or(i64::MAX));
        all.i1.push(i64::try_from(next()).unwrap_or(0));
        all.i2.push(i64::try_from(next() % 1000).unwrap_or(0));
        all.r1.push(next() as f64 / 7.0);
        all.r2.push(next() as f64 / 1e9);
        all.s1.push(format!("{:013}", next()));
        all.s2.push(format!("{:035}", next()));
        all.b.push([next().to_le_bytes(), next().to_le_bytes()].concat());
    }
    all
}

/// Inserts all, as the competitor of this number does. Returns nanoseconds per row and a sum of what is stored.
fn run(case: &Case, columns: &Columns, competitor: usize, dir: &Path) -> Result<(f64, i64)> {
    let conn = case.open(dir)?;
    let start = Instant::now();
    if competitor == 0 {
        conn.execute("BEGIN", ())?;
        let mut statement = Handle::of(&conn).prepare("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
        statement.insert_columns(columns, case.has_id)?;
        drop(statement);
        conn.execute("COMMIT", ())?;
    } else {
        let strategy = if competitor == 1 { InsertStrategy::Columns } else { InsertStrategy::Rows };
        let mut all: Vec<(&str, InsertColumn)> = vec![
            ("i1", (&columns.i1).into()),
            ("i2", (&columns.i2).into()),
            ("r1", (&columns.r1).into()),
            ("r2", (&columns.r2).into()),
            ("s1", (&columns.s1).into()),
            ("s2", (&columns.s2).into()),
            ("b", (&columns.b).into()),
        ];
        if case.has_id {
            all.insert(0, ("id", (&columns.id).into()));
        }
        InsertOptions::new().strategy(strategy).insert_columns(&conn, "t", all)?;
    }
    let nanoseconds = start.elapsed().as_secs_f64() * 1e9 / columns.id.len() as f64;
    let sum = "SELECT sum(id) + sum(i1) + sum(i2) + sum(length(s1) + length(s2) + length(b)) + count(r1 + r2) FROM t";
    Ok((nanoseconds, conn.query_one(sum, ())?))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let rounds = arguments.iter().position(|argument| argument == "--rounds").and_then(|at| arguments.get(at + 1));
    let rounds = rounds.map_or(Ok(if is_quick { 3 } else { 31 }), |rounds| rounds.parse::<usize>())?;
    let dir = tempfile::tempdir()?;
    print!("{}", environment::of_process());
    println!("\nRatios to the best loop in C, medians of {rounds} rounds with intervals:\n");
    println!("| | C, ns per row | `insert_columns` | by rows | C again |");
    println!("|---|---:|---:|---:|---:|");
    let (memory, normal, full) = (Place::Memory, Place::File(1), Place::File(2));
    let cases = [
        Case::new(memory, 0),
        Case { has_id: false, ..Case::new(memory, 0) },
        Case { rows: 1_000, ..Case::new(memory, 0) },
        Case::new(memory, 1),
        Case::new(memory, 3),
        Case { has_trigger: true, ..Case::new(memory, 0) },
        Case::new(normal, 0),
        Case::new(normal, 1),
        Case::new(normal, 3),
        Case::new(full, 0),
        Case::new(full, 1),
        Case::new(full, 3),
        Case { has_trigger: true, ..Case::new(normal, 0) },
    ];
    for case in cases {
        let case = Case { rows: if is_quick { 1_000 } else { case.rows }, ..case };
        let columns = columns(case.rows);
        let (mut times, mut ratios, mut expected) = (vec![], [vec![], vec![], vec![]], None);
        // The first round fills the caches.
        for round in 0..=rounds {
            let mut of_round = [0.0; 4];
            for turn in 0..4 {
                let competitor = (turn + round) % 4;
                let (time, sum) = run(&case, &columns, competitor % 3, dir.path())?;
                if *expected.get_or_insert(sum) != sum {
                    return Err("what was inserted differs".into());
                }
                of_round[competitor] = time;
            }
            if round > 0 {
                times.push(of_round[0]);
                for (ratios, time) in ratios.iter_mut().zip(&of_round[1..]) {
                    ratios.push(time / of_round[0]);
                }
            }
        }
        let [by_columns, by_rows, again] = ratios.map(|ratios| {
            let Estimate { median, low, high } = Estimate::of(&ratios);
            format!("{median:.2} ({low:.2}–{high:.2})")
        });
        println!("| {} | {:.0} | {by_columns} | {by_rows} | {again} |", case.name(), Estimate::of(&times).median);
    }
    Ok(())
}
