//! Partitions: the rows are those of one scan, and one thread reads them where others might read other rows. What they
//! see beside a writer is in `src/scan/partitions/tests.rs`.

mod fallbacks;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use finalite::scan::{ColumnType, Partitions, Relation, ScanPlan, ScanStrategy};
use finalite::{
    Connection, DbConfig, Error, ErrorKind, FromRow, LeakCheck, Limit, OpenOptions, Params, Row, TransactionBehavior,
    array, named_params, params, params_from_iter,
};

use crate::common::random::Random;

const SALES: i64 = 3_000;
const IDS: &str = "SELECT id FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid";
const PARALLEL: &str = "ranges of rowids are read by connections that see one snapshot";

fn fill(conn: &Connection) {
    conn.execute_batch(&format!(
        "CREATE TABLE sale(id INTEGER PRIMARY KEY, region TEXT, price INTEGER NOT NULL, note TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {SALES})
         INSERT INTO sale SELECT i, 'region ' || (i % 7), i * 3, iif(i % 5, 'note ' || i, NULL) FROM n;
         CREATE TABLE few(a);
         INSERT INTO few VALUES (1);"
    ))
    .unwrap();
}

fn open(dir: &Path) -> Connection {
    let conn = Connection::open(dir.join("shop.db")).unwrap();
    conn.execute("PRAGMA journal_mode = wal", ()).unwrap();
    conn.execute("PRAGMA synchronous = off", ()).unwrap();
    fill(&conn);
    conn
}

/// Runs this on a connection to a file, on which nothing is left behind.
fn check(run: impl FnOnce(&Connection)) {
    let dir = tempfile::tempdir().unwrap();
    let conn = open(dir.path());
    let leaks = LeakCheck::for_connection(&conn);
    run(&conn);
    assert!(conn.is_autocommit());
    assert_eq!(conn.busy_timeout().unwrap(), Duration::from_secs(5));
    // A connection that still read would keep the log.
    conn.execute("INSERT INTO few VALUES (2)", ()).unwrap();
    let truncated: (i64, i64, i64) = conn.query_one("PRAGMA wal_checkpoint(TRUNCATE)", ()).unwrap();
    assert_eq!(truncated, (0, 0, 0));
    conn.close().unwrap();
    drop(leaks);
}

/// The integers of the first column, by all ways, with the plan.
fn read<'p, P: Params<'p> + Clone + Sync>(partitions: impl Fn() -> Partitions<'p, P>) -> (Vec<i64>, ScanPlan) {
    let mut plan = None;
    let join = |all: &mut Vec<i64>, more: Vec<i64>| all.extend(more);
    let by_row = partitions()
        .on_end(|it| plan = Some(it))
        .fold(Vec::new, |all, row| row.get(0).map(|id| all.push(id)), join)
        .unwrap();
    let by_batch = partitions()
        .fold_batches(100, Vec::new, |all, batch| batch.column(0)?.as_i64().map(|ids| all.extend(ids)), join)
        .unwrap();
    let by_column: Vec<i64> = partitions()
        .columns()
        .unwrap()
        .into_iter()
        .flat_map(|batch| batch.into_columns().remove(0).into_i64().unwrap())
        .collect();
    assert_eq!((&by_batch, &by_column), (&by_row, &by_row));
    let plan = plan.unwrap();
    assert_eq!(partitions().plan().unwrap(), plan);
    (by_row, plan)
}

#[test]
fn the_rows_are_those_of_one_scan() {
    check(|conn| {
        for threads in [0, 1, 2, 3, 8] {
            let expected: Vec<i64> = (1..=SALES).collect();
            for (rows, plan) in [
                read(|| conn.scan(IDS, ()).partitions_of("sale", threads)),
                read(|| conn.scan(IDS, ()).partitions_of("main.SALE", threads)),
                read(|| conn.scan_table("sale").select(["id", "note"]).partitions(threads)),
                read(|| conn.scan_table("main.sale").all_columns().partitions(threads)),
            ] {
                assert_eq!(rows, expected);
                assert_eq!(plan.threads, threads.max(1));
                assert_eq!(plan.reason, if threads > 1 { PARALLEL } else { "one thread was requested" });
            }
        }
    });
}

/// Other threads read, too: no thread gets all ranges if one waits for the other.
#[test]
fn several_threads_read() {
    check(|conn| {
        let (ids, barrier) = (Mutex::new(Vec::<ThreadId>::new()), std::sync::Barrier::new(2));
        let step = |_: &mut (), _: Row<'_>| {
            let id = thread::current().id();
            let is_new = {
                let mut ids = ids.lock().unwrap();
                let is_new = !ids.contains(&id);
                ids.extend(is_new.then_some(id));
                is_new
            };
            if is_new {
                barrier.wait();
            }
            Ok(())
        };
        conn.scan(IDS, ()).partitions_of("sale", 2).fold(|| (), step, |(), ()| ()).unwrap();
        let ids = ids.into_inner().unwrap();
        assert_eq!(ids.len(), 2);
        assert!(ids.contains(&thread::current().id()));
    });
}

#[test]
fn aggregates_of_ranges_are_merged() {
    check(|conn| {
        let sql = "SELECT region, sum(price), count(note) FROM sale
                   WHERE rowid BETWEEN :first_rowid AND :last_rowid AND price > ? GROUP BY region";
        let totals = conn.scan(sql, (900,)).partitions_of("sale", 3).fold(
            BTreeMap::<String, (i64, i64)>::new,
            |totals, row: Row<'_>| {
                let (region, price, notes) = <(String, i64, i64)>::from_row(row)?;
                let total = totals.entry(region).or_default();
                *total = (total.0 + price, total.1 + notes);
                Ok(())
            },
            |totals, others| {
                for (region, (price, notes)) in others {
                    let total = totals.entry(region).or_default();
                    *total = (total.0 + price, total.1 + notes);
                }
            },
        );
        let expected = "SELECT region, sum(price), count(note) FROM sale WHERE price > 900 GROUP BY region";
        let expected: Vec<(String, i64, i64)> = conn.query_all(expected, ()).unwrap();
        let found: Vec<_> =
            totals.unwrap().into_iter().map(|(region, (price, notes))| (region, price, notes)).collect();
        assert_eq!(found, expected);
    });
}

#[test]
fn the_callers_parameters_are_bound_on_each_connection() {
    check(|conn| {
        let expected: Vec<i64> = (501..=800).collect();
        let text = String::from("region 3");
        let before = "SELECT id FROM sale WHERE id > ? AND id <= ? AND id BETWEEN :first_rowid AND :last_rowid";
        let after = "SELECT id FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid AND id > ? AND id <= ?";
        let named = "SELECT id FROM sale WHERE id > @low AND id BETWEEN :first_rowid AND :last_rowid AND id <= :high";
        let between = "SELECT id FROM sale WHERE id > ? AND id >= :first_rowid AND id <= ? AND id <= :last_rowid";
        let all = [
            read(|| conn.scan(before, (500, 800)).partitions_of("sale", 2)),
            read(|| conn.scan(after, [500, 800]).partitions_of("sale", 2)),
            read(|| conn.scan(after, params![500, 800]).partitions_of("sale", 2)),
            read(|| conn.scan(between, params_from_iter([500, 800])).partitions_of("sale", 2)),
            read(|| conn.scan(named, named_params! { "low": 500, ":high": 800 }).partitions_of("sale", 2)),
            read(|| conn.scan(named, [("low", 500), ("high", 800)]).partitions_of("sale", 2)),
        ];
        for (rows, plan) in all {
            assert_eq!((rows, plan.threads), (expected.clone(), 2));
        }
        let sql = "SELECT id FROM sale WHERE region = ? AND id BETWEEN :first_rowid AND :last_rowid";
        let expected: Vec<i64> = (1..=SALES).filter(|id| id % 7 == 3).collect();
        assert_eq!(read(|| conn.scan(sql, (&*text,)).partitions_of("sale", 2)).0, expected);
        assert_eq!(read(|| conn.scan(sql, (text.clone(),)).partitions_of("sale", 2)).0, expected);
        assert_eq!(read(|| conn.scan(sql, params![text]).partitions_of("sale", 2)).0, expected);
        let ids = array(&[7, 5, 2_000]);
        let sql =
            "SELECT id FROM sale WHERE id IN (SELECT value FROM list(?)) AND id BETWEEN :first_rowid AND :last_rowid";
        let (rows, plan) = read(|| conn.scan(sql, (&ids,)).partitions_of("sale", 2));
        assert_eq!((rows, plan.threads), (vec![5, 7, 2_000], 2));
    });
}

/// Ranges of a plain scan are read from pages where that is asked for, or the default.
#[test]
fn ranges_are_read_from_pages() {
    check(|conn| {
        let expected: Vec<i64> = (1..=SALES).collect();
        let by_pages = |sql| conn.scan(sql, ()).strategy(ScanStrategy::Pages).partitions_of("sale", 3);
        let of_sales = "SELECT id, note FROM sale WHERE rowid BETWEEN :first_rowid AND :last_rowid";
        for journal in ["delete", "wal"] {
            conn.execute(&format!("PRAGMA journal_mode = {journal}"), ()).unwrap();
            for (rows, plan) in [
                read(|| conn.scan_table("sale").select(["id", "note"]).partitions(2)),
                read(|| by_pages(of_sales)),
                read(|| {
                    let scan = conn.scan_table("sale").select(["id"]).filter("price", Relation::Greater, 0);
                    scan.filter("region", Relation::Is, "region 3").partitions(2)
                }),
                read(|| {
                    by_pages(
                        "SELECT id FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid AND price NOT IN (3, 6, 9)",
                    )
                }),
            ] {
                let rest = match rows.len() {
                    3000 => expected.clone(),
                    2997 => (4..=SALES).collect(),
                    _ => (3..=SALES).step_by(7).collect(),
                };
                assert_eq!(rows, rest, "{journal}");
                assert_eq!((plan.strategy, plan.reason), (ScanStrategy::Pages, PARALLEL), "{journal}");
            }
            // Not asked for, not a plain scan, with parameters whose values are not known.
            let of_statement = [
                read(|| conn.scan(of_sales, ()).partitions_of("sale", 2)),
                read(|| conn.scan_table("sale").select(["id"]).strategy(ScanStrategy::Statement).partitions(2)),
                read(|| by_pages("SELECT id + 0 FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid")),
            ];
            let sql = "SELECT id FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid AND price > ?";
            let with_value = read(|| conn.scan(sql, (0,)).strategy(ScanStrategy::Pages).partitions_of("sale", 2));
            for (rows, plan) in of_statement.into_iter().chain([with_value]) {
                assert_eq!((&rows, plan.strategy, plan.reason), (&expected, ScanStrategy::Statement, PARALLEL));
            }
        }
        // From the pages of an index, of which each range is a condition.
        conn.execute("CREATE INDEX sale_price ON sale(price)", ()).unwrap();
        let of_index = "SELECT id FROM sale INDEXED BY sale_price WHERE id BETWEEN :first_rowid AND :last_rowid";
        let (rows, plan) = read(|| by_pages(of_index));
        assert_eq!((rows, plan.strategy, plan.reason), (expected, ScanStrategy::Pages, PARALLEL));
        conn.execute("DROP INDEX sale_price", ()).unwrap();
        // A row that SQLite has to judge, in one of the ranges.
        conn.execute_batch("ALTER TABLE sale ADD COLUMN x NUMERIC; UPDATE sale SET x = iif(id = 1700, '3x', id)")
            .unwrap();
        let scan = || conn.scan_table("sale").select(["id"]).filter("x", Relation::NotEqual, -1);
        let mut plan = None;
        let rows: usize =
            scan().partitions(2).on_end(|it| plan = Some(it)).columns().unwrap().iter().map(|batch| batch.len()).sum();
        assert_eq!((rows, plan.unwrap().strategy), (3000, ScanStrategy::Statement));
    });
}

#[test]
fn wrong_parameters_are_the_errors_of_a_statement() {
    check(|conn| {
        let fold = |sql: &str, params: &[i64]| {
            conn.scan(sql, params).partitions_of("sale", 2).fold(|| (), |(), _| Ok(()), |(), ()| ()).unwrap_err()
        };
        let sql = "SELECT ? FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid";
        let is_unset = matches!(fold(sql, &[]).kind(), ErrorKind::ParameterUnset { index: 1, .. });
        assert!(is_unset);
        let is_count = matches!(fold(sql, &[1, 2]).kind(), ErrorKind::ParameterCount { expected: 3, given: 4, .. });
        assert!(is_count);
        let given = conn
            .scan(IDS, named_params! { ":first_rowid": 1 })
            .partitions_of("sale", 2)
            .fold(|| (), |(), _| Ok(()), |(), ()| ())
            .unwrap_err();
        assert!(matches!(given.kind(), ErrorKind::ParameterTwice { index: 1, .. }));
    });
}

fn check_error<'p, P: Params<'p> + Clone + Sync>(partitions: impl Fn() -> Partitions<'p, P>, text: &str) {
    for error in [
        partitions().plan().unwrap_err(),
        partitions().fold(|| (), |(), _| Ok(()), |(), ()| ()).unwrap_err(),
        partitions().columns().unwrap_err(),
    ] {
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn filters_are_of_each_range() {
    check(|conn| {
        for threads in [1, 2] {
            let scan = || conn.scan_table("sale").select(["id"]).filter("price", Relation::Greater, 5_000);
            let (ids, plan) = read(|| scan().filter("region", Relation::Equal, "region 3").partitions(threads));
            assert_eq!(ids, (1667..=SALES).filter(|id| id % 7 == 3).collect::<Vec<_>>());
            assert_eq!(plan.threads, threads);
        }
    });
}

#[test]
fn what_cannot_be_divided_is_an_error() {
    check(|conn| {
        let half = "SELECT id FROM sale WHERE id >= :first_rowid";
        check_error(|| conn.scan(half, ()).partitions_of("sale", 2), "no such parameter: :last_rowid");
        check_error(
            || conn.scan("SELECT id FROM sale", ()).partitions_of("sale", 2),
            "no such parameter: :first_rowid",
        );
        check_error(|| conn.scan(IDS, ()).partitions(2), "use `partitions_of`");
        check_error(|| conn.scan(IDS, ()).limit(7).partitions_of("sale", 2), "`limit` does not apply");
        let progress = |_| std::ops::ControlFlow::Continue(());
        check_error(|| conn.scan(IDS, ()).progress(7, progress).partitions_of("sale", 2), "`progress` does not apply");
        check_error(|| conn.scan(IDS, ()).partitions_of("nosuch", 2), "no such table: nosuch");
        check_error(|| conn.scan_table("nosuch").all_columns().partitions(2), "no such table: nosuch");
        check_error(|| conn.scan_table("sale").select(["nosuch"]).partitions(2), "no such column");
        let schema = conn.scan(IDS, ()).schema([ColumnType::Text; 3]).partitions_of("sale", 2).columns();
        assert!(matches!(schema.unwrap_err().kind(), ErrorKind::ColumnCount { expected: 3, found: 1, .. }));
        let batches = conn.scan(IDS, ()).partitions_of("sale", 2).fold_batches(0, || (), |(), _| Ok(()), |(), ()| ());
        assert!(matches!(batches.unwrap_err().kind(), ErrorKind::Misuse { .. }));
    });
}

#[test]
fn an_error_ends_all_threads() {
    check(|conn| {
        let rows = AtomicU64::new(0);
        let step = |_: &mut (), row: Row<'_>| {
            rows.fetch_add(1, Ordering::Relaxed);
            if row.get::<i64>(0)? == 1 { Err(Error::external("of the caller")) } else { Ok(()) }
        };
        // The range of the first row fails at once, and any other goes on for ever.
        let endless = "SELECT least, (WITH RECURSIVE n(i) AS (
                           SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000 OR least > 1) SELECT max(i) FROM n)
                       FROM (SELECT min(id) AS least FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid)";
        let error = conn.scan(endless, ()).partitions_of("sale", 2).fold(|| (), step, |(), ()| ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::External(_)), "{error}");
        assert_eq!(rows.into_inner(), 1);

        // SQLite's own error.
        let sql = "SELECT abs(iif(id = 2000, -9223372036854775807 - 1, id)) FROM sale
                   WHERE id BETWEEN :first_rowid AND :last_rowid";
        let error = conn.scan(sql, ()).partitions_of("sale", 2).columns().unwrap_err();
        assert!(error.to_string().contains("integer overflow"), "{error}");

        // An error of the caller's own type.
        #[derive(Debug)]
        enum Own {
            Database,
            Found,
        }
        impl From<Error> for Own {
            fn from(_: Error) -> Self {
                Self::Database
            }
        }
        let step = |_: &mut (), row: Row<'_>| if row.get::<i64>(0)? == 2_500 { Err(Own::Found) } else { Ok(()) };
        let found = conn.scan(IDS, ()).with_error::<Own>().partitions_of("sale", 2).fold(|| (), step, |(), ()| ());
        assert!(matches!(found, Err(Own::Found)));
        assert!(matches!(Own::from(Error::no_rows()), Own::Database));
    });
}

#[test]
fn a_panic_ends_all_threads() {
    check(|conn| {
        for id in [1, SALES / 2, SALES] {
            for threads in [1, 2, 4] {
                let step = |_: &mut (), row: Row<'_>| {
                    assert!(row.get::<i64>(0)? != id, "on purpose");
                    Ok(())
                };
                let scan = || conn.scan(IDS, ()).partitions_of("sale", threads).fold(|| (), step, |(), ()| ());
                let panic = catch_unwind(AssertUnwindSafe(scan)).unwrap_err();
                assert_eq!(*panic.downcast::<&str>().unwrap(), "on purpose");
            }
        }
        let merge = |(): &mut (), ()| panic!("on purpose");
        let scan = || conn.scan(IDS, ()).partitions_of("sale", 2).fold(|| (), |(), _| Ok(()), merge);
        assert!(catch_unwind(AssertUnwindSafe(scan)).is_err());
        let init = || -> () { panic!("on purpose") };
        let scan = || conn.scan(IDS, ()).partitions_of("sale", 2).fold(init, |(), _| Ok(()), |(), ()| ());
        assert!(catch_unwind(AssertUnwindSafe(scan)).is_err());
    });
}

const ENDLESS: &str =
    "SELECT id, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5 OR id > 1)
                       SELECT max(i) FROM n) FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid";

#[test]
fn an_interrupt_ends_all_threads() {
    check(|conn| {
        for threads in [1, 2, 3] {
            let handle = conn.interrupt_handle();
            // By the closure itself: the statements of the other ranges would never end.
            let step = |_: &mut (), _: Row<'_>| {
                assert!(handle.interrupt());
                Ok(())
            };
            let error = conn.scan(ENDLESS, ()).partitions_of("sale", threads).fold(|| (), step, |(), ()| ());
            assert!(error.unwrap_err().is_interrupted(), "{threads}");
            // It was of that call.
            assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", threads)).0.len(), SALES as usize);
        }
    });
}

#[test]
fn an_interrupt_from_elsewhere_ends_all_threads() {
    check(|conn| {
        let handle = conn.interrupt_handle();
        let sql =
            "SELECT (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n) FROM sale
                   WHERE id BETWEEN :first_rowid AND :last_rowid";
        thread::scope(|scope| {
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            // Whenever it comes, also before the first statement runs: until the call returns.
            scope.spawn(move || {
                while stopped
                    .recv_timeout(Duration::from_millis(5))
                    .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout)
                {
                    handle.interrupt();
                }
            });
            let error = conn.scan(sql, ()).partitions_of("sale", 2).fold(|| (), |(), _| Ok(()), |(), ()| ());
            assert!(error.unwrap_err().is_interrupted());
            drop(stop);
        });
    });
}

#[test]
fn a_handle_interrupts_no_connection_of_a_call_that_has_ended() {
    check(|conn| {
        let handle = conn.interrupt_handle();
        assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", 2)).0.len(), SALES as usize);
        assert!(handle.interrupt());
        assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", 2)).0.len(), SALES as usize);
    });
}

/// Random statements over random tables: the fold of the ranges is that of all rows.
#[test]
fn folds_of_ranges_are_the_fold_of_all_rows() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..60 {
        let mut random = Random::new(seed, 0x5851_f42d_4c95_7f2d);
        let conn = Connection::open(dir.path().join(format!("{seed}.db"))).unwrap();
        let journal = random.pick(&["wal", "delete", "truncate", "persist"]);
        let key = random.pick(&["", "id INTEGER PRIMARY KEY, ", "rowid TEXT, "]);
        conn.execute_batch(&format!(
            "PRAGMA page_size = 512; PRAGMA journal_mode = {journal}; PRAGMA synchronous = off;
             CREATE TABLE t({key}a, b, c); CREATE INDEX i ON t(b); BEGIN"
        ))
        .unwrap();
        let mut insert = conn.prepare("INSERT OR IGNORE INTO t(_rowid_, a, b, c) VALUES (?, ?, ?, ?)").unwrap();
        let mut rowid = random.pick(&[i64::MIN, -500, 0, i64::MAX - 100_000]);
        for _ in 0..random.below(800) {
            let step = match random.below(20) {
                0 => i64::from(u32::MAX) << random.below(30),
                1..5 => random.below(1_000) as i64,
                _ => 1,
            };
            rowid = rowid.saturating_add(step);
            let text = (!random.one_in(7)).then(|| format!("text {}", random.below(9)));
            insert.execute((rowid, random.below(100) as i64, random.below(10) as i64, text)).unwrap();
        }
        drop(insert);
        if random.one_in(2) {
            conn.execute("INSERT OR IGNORE INTO t(_rowid_, a) VALUES (?, 1), (?, 2)", (i64::MIN, i64::MAX)).unwrap();
        }
        conn.execute("COMMIT", ()).unwrap();
        let condition = random.pick(&["1", "a > 50", "b = 3", "c LIKE '%4'", "a % 3 = 1 AND b < 8", "c IS NULL", "0"]);
        let result = random.pick(&[
            "b, count(*), total(a), max(c)",
            "b, 1, a, c",
            "a % 5, count(c), sum(a), min(c) || ''",
            "DISTINCT b, 0, 0, NULL",
        ]);
        let group = if result.contains('(') {
            format!("GROUP BY {}", result.split(',').next().unwrap())
        } else {
            String::new()
        };
        let all = format!("SELECT {result} FROM t WHERE {condition} {group}");
        let ranged = format!(
            "SELECT {result} FROM t WHERE {condition} AND _rowid_ BETWEEN :first_rowid AND :last_rowid {group}"
        );
        /// Sums and the largest text of each group; a set, if the statement says DISTINCT.
        type Groups = BTreeMap<Option<i64>, (i64, i64, Option<String>)>;
        let step = |groups: &mut Groups, row: Row<'_>| {
            let (group, count, sum, text) = <(Option<i64>, i64, Option<f64>, Option<String>)>::from_row(row)?;
            let entry = groups.entry(group).or_default();
            entry.0 += count;
            entry.1 += sum.unwrap_or(0.0) as i64;
            if result.contains("min(") {
                entry.2 = entry.2.take().into_iter().chain(text).min();
            } else {
                entry.2 = entry.2.take().into_iter().chain(text).max();
            }
            Ok::<_, Error>(())
        };
        let mut expected = Groups::new();
        conn.scan(&all, ()).for_each(|row| step(&mut expected, row)).unwrap();
        let threads = 1 + random.below(4);
        let found = conn
            .scan(&ranged, ())
            .partitions_of("t", threads)
            .fold(Groups::new, step, |groups, others| {
                for (group, (count, sum, text)) in others {
                    let entry = groups.entry(group).or_default();
                    entry.0 += count;
                    entry.1 += sum;
                    let texts = entry.2.take().into_iter().chain(text);
                    entry.2 = if result.contains("min(") { texts.min() } else { texts.max() };
                }
            })
            .unwrap();
        assert_eq!(found, expected, "seed {seed}: {ranged}");
        let rowids = conn.query_all::<i64>("SELECT _rowid_ FROM t ORDER BY 1", ()).unwrap();
        let found = conn.scan_table("t").select(["_rowid_"]).partitions(threads).columns().unwrap();
        let found: Vec<i64> =
            found.iter().flat_map(|batch| batch.column(0).unwrap().iter_i64().unwrap()).flatten().collect();
        assert_eq!(found, rowids, "seed {seed}");
    }
}

#[test]
fn settings_of_the_connection_are_those_of_its_readers() {
    check(|conn| {
        conn.set_pragma("reverse_unordered_selects", true).unwrap();
        let (rows, plan) = read(|| conn.scan_table("sale").select(["id"]).partitions(2));
        assert_eq!(plan.threads, 2);
        // Each range in reverse order, by each reader.
        assert_ne!(rows[0], 1);
        assert_eq!(rows.len(), SALES as usize);
        conn.set_pragma("reverse_unordered_selects", false).unwrap();

        let quoted = "SELECT id, \"text\" FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid";
        conn.set_db_config(DbConfig::DoubleQuotedStringsInDml, true).unwrap();
        assert_eq!(read(|| conn.scan(quoted, ()).partitions_of("sale", 2)).1.threads, 2);
        conn.set_db_config(DbConfig::DoubleQuotedStringsInDml, false).unwrap();
        assert!(conn.scan(quoted, ()).partitions_of("sale", 2).plan().is_err());

        let long =
            "SELECT id, length(CAST(zeroblob(2000) AS TEXT)) FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid";
        conn.set_limit(Limit::Length, 1_000).unwrap();
        let error = conn.scan(long, ()).partitions_of("sale", 2).fold(|| (), |(), _| Ok(()), |(), ()| ());
        assert_eq!(error.unwrap_err().code(), Some(finalite::ResultCode::TOOBIG));
        conn.set_limit(Limit::Length, 1_000_000).unwrap();
        assert_eq!(read(|| conn.scan(long, ()).partitions_of("sale", 2)).1.threads, 2);
    });
}

#[test]
fn an_untrusted_file_is_read_with_its_limits() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().unwrap();
    for read_only in [false, true] {
        let conn = OpenOptions::untrusted().read_only(read_only).open(dir.path().join("shop.db")).unwrap();
        let (rows, plan) = read(|| conn.scan(IDS, ()).partitions_of("sale", 2));
        assert_eq!((rows.len(), plan.threads, plan.reason), (SALES as usize, 2, PARALLEL));
        let pattern = "%".repeat(51);
        let sql = "SELECT note LIKE ? FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid";
        let error = conn.scan(sql, (&*pattern,)).partitions_of("sale", 2).columns().unwrap_err();
        assert!(error.to_string().contains("pattern too complex"), "{error}");
    }
}

#[test]
fn a_connection_for_reading_needs_no_lock() {
    for journal in ["wal", "delete"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.db");
        let writer = Connection::open(&path).unwrap();
        writer.execute(&format!("PRAGMA journal_mode = {journal}"), ()).unwrap();
        fill(&writer);
        let conn = OpenOptions::new().read_only(true).open(&path).unwrap();
        let (rows, plan) = read(|| conn.scan(IDS, ()).partitions_of("sale", 2));
        assert_eq!((rows.len(), plan.threads, plan.reason), (SALES as usize, 2, PARALLEL), "{journal}");
        // Nor does it matter who has it.
        writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM sale WHERE id > 10").unwrap();
        let (rows, plan) = read(|| conn.scan(IDS, ()).partitions_of("sale", 2));
        assert_eq!((rows.len(), plan.threads), (SALES as usize, 2), "{journal}");
        writer.execute("COMMIT", ()).unwrap();
        assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", 2)).0.len(), 10);
    }
}

#[test]
fn an_immutable_file_needs_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().unwrap();
    let conn = OpenOptions::new().immutable(true).open(dir.path().join("shop.db")).unwrap();
    let (rows, plan) = read(|| conn.scan(IDS, ()).partitions_of("sale", 2));
    assert_eq!((rows.len(), plan.threads, plan.reason), (SALES as usize, 2, PARALLEL));
}

/// The lock is needed only if a commit falls between the first reads.
#[test]
fn a_writer_may_have_the_lock() {
    for journal in ["wal", "delete"] {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("shop.db")).unwrap();
        conn.execute(&format!("PRAGMA journal_mode = {journal}"), ()).unwrap();
        fill(&conn);
        let mut writer = Connection::open(dir.path().join("shop.db")).unwrap();
        let tx = writer.transaction_with(TransactionBehavior::Immediate).unwrap();
        tx.execute("DELETE FROM sale", ()).unwrap();
        let (rows, plan) = read(|| conn.scan(IDS, ()).partitions_of("sale", 2));
        assert_eq!((rows.len(), plan.threads), (SALES as usize, 2));
        tx.rollback().unwrap();
    }
}

#[test]
fn a_pools_connection_is_read_by_several_threads() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().unwrap();
    let pool = finalite::pool::Pool::builder(dir.path().join("shop.db")).build().unwrap();
    let conn = pool.reader().unwrap();
    let (rows, plan) = read(|| conn.scan(IDS, ()).partitions_of("sale", 2));
    assert_eq!((rows.len(), plan.threads), (SALES as usize, 2));
    drop(conn);
    assert!(pool.close().is_clean());
}
