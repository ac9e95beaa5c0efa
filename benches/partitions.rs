//! Statements on two threads over the same statements on one: interleaved pairs, the median of their ratios, and its
//! 95 % interval. `--pairs n` sets their number.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use finalite::scan::{Partitions, ScanStrategy};
use finalite::{Connection, Result, Row};

const ROWS: u32 = 1_000_000;
const PAIRS: usize = 40;

type Groups = BTreeMap<String, (i64, f64)>;

/// Statements, with a place for the condition on the rowid.
const STATEMENTS: [(&str, &str); 5] = [
    ("aggregate with a condition", "SELECT '', count(*), sum(price) FROM sale WHERE amount % 3 = 0 AND {}"),
    ("GROUP BY", "SELECT region, count(*), sum(price) FROM sale WHERE {} GROUP BY region"),
    ("text LIKE", "SELECT '', count(*), sum(price) FROM sale WHERE note LIKE '%9 of%' AND {}"),
    ("each row", "SELECT region, amount, price FROM sale WHERE {}"),
    ("each row, from pages", "SELECT region, amount, price FROM sale WHERE {}"),
];

fn fill(conn: &Connection) -> Result<()> {
    conn.execute_batch(&format!(
        "CREATE TABLE sale(id INTEGER PRIMARY KEY, region TEXT, amount INTEGER, price REAL, note TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO sale SELECT i, 'region ' || (i % 50), i * 7919 % 1000, i / 8.0, 'sale ' || i || ' of the year' FROM n;"
    ))
}

fn add(groups: &mut Groups, row: Row<'_>) -> Result<()> {
    let (count, sum) = (row.get::<i64>(1)?, row.get::<Option<f64>>(2)?.unwrap_or(0.0));
    let region = row.get::<&str>(0)?;
    match groups.get_mut(region) {
        Some(group) => *group = (group.0 + count, group.1 + sum),
        None => _ = groups.insert(region.to_owned(), (count, sum)),
    }
    Ok(())
}

fn merge(groups: &mut Groups, others: Groups) {
    for (region, (count, sum)) in others {
        let group = groups.entry(region).or_default();
        *group = (group.0 + count, group.1 + sum);
    }
}

fn timed(run: impl FnOnce() -> Result<Groups>) -> Result<(Duration, Groups)> {
    let began = Instant::now();
    let groups = run()?;
    Ok((began.elapsed(), groups))
}

/// CPU time of all threads of the process, where the system tells it.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(f64::NAN);
    // utime and stime, in hundredths of a second.
    (ticks(11) + ticks(12)) / 100.0
}

/// Runs it so many times. Returns the CPU time.
fn cpu_of(times: usize, run: impl Fn() -> Result<Groups>) -> Result<f64> {
    let before = cpu_seconds();
    (0..times).try_for_each(|_| run().map(drop))?;
    Ok(cpu_seconds() - before)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let given = arguments.iter().skip_while(|argument| *argument != "--pairs").nth(1);
    let pairs = match given.and_then(|pairs| pairs.parse().ok()) {
        Some(pairs) => std::cmp::max(pairs, 1),
        None if arguments.iter().any(|argument| argument == "--test") => 1,
        None => PAIRS,
    };
    let dir = tempfile::tempdir().map_err(finalite::Error::external)?;
    let conn = finalite::OpenOptions::recommended().open(dir.path().join("sales.db"))?;
    fill(&conn)?;
    for mmap_bytes in [0, 1_i64 << 30] {
        conn.set_pragma("mmap_size", mmap_bytes)?;
        println!("{ROWS} rows, mmap_size {mmap_bytes}, {pairs} pairs: two threads over one");
        for (name, sql) in STATEMENTS {
            let (all, ranged) = (sql.replace("{}", "1"), sql.replace("{}", "id BETWEEN :first_rowid AND :last_rowid"));
            let strategy = if name.ends_with("pages") { ScanStrategy::Pages } else { ScanStrategy::Statement };
            let one = || {
                let mut groups = Groups::new();
                conn.scan(&all, ()).strategy(strategy).for_each(|row| add(&mut groups, row))?;
                Ok(groups)
            };
            let two = || -> Result<Groups> {
                let partitions: Partitions<'_, ()> = conn.scan(&ranged, ()).strategy(strategy).partitions_of("sale", 2);
                partitions.fold(Groups::new, add, merge)
            };
            let mut ratios = Vec::new();
            let mut milliseconds = Vec::new();
            for pair in 0..pairs {
                let ((time, expected), (time_of_two, found)) = if pair % 2 == 0 {
                    let first = timed(one)?;
                    (first, timed(two)?)
                } else {
                    let first = timed(two)?;
                    (timed(one)?, first)
                };
                assert!(found.iter().zip(&expected).all(|(a, b)| (a.0, a.1.0) == (b.0, b.1.0)));
                ratios.push(time_of_two.as_secs_f64() / time.as_secs_f64());
                milliseconds.push(time.as_secs_f64() * 1e3);
            }
            ratios.sort_by(f64::total_cmp);
            milliseconds.sort_by(f64::total_cmp);
            // The interval of a median by order statistics: n / 2 ± 1.96 √n / 2.
            let half = (1.96 * (pairs as f64).sqrt() / 2.0).ceil() as usize;
            let (low, high) = ((pairs / 2).saturating_sub(half), (pairs / 2 + half).min(pairs - 1));
            // On busy cores, the threads wait for one; their CPU time is the same.
            let cpu = cpu_of(pairs, two)? / cpu_of(pairs, one)?;
            println!(
                "  {name:28} {:.3} ({:.3} to {:.3}), CPU {cpu:.2}, one thread {:.0} ms",
                ratios[pairs / 2],
                ratios[low],
                ratios[high],
                milliseconds[pairs / 2],
            );
        }
    }
    Ok(())
}
