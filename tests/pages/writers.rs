//! Scans beside writers: a snapshot is one, whatever is committed and checkpointed meanwhile; and after a writer was
//! killed.

use std::ffi::c_void;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use finalite::scan::ScanStrategy;
use finalite::{Connection, Error, OpenOptions, ffi};

use crate::STREAM;
use crate::common::cell::Cell;
use crate::common::random::Random;
use crate::compare::read;

const ACCOUNTS: usize = 3_000;
const EACH: i64 = 1_000;
const TOTAL: i64 = 3_000 * EACH;
const CHECKPOINTS: [&str; 4] = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"];

fn fill(path: &Path, journal: &str) -> Connection {
    fill_table(path, journal, "")
}

fn fill_table(path: &Path, journal: &str, options: &str) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = {journal}; PRAGMA synchronous = off;
         CREATE TABLE account(id INTEGER PRIMARY KEY, amount INTEGER, filler BLOB){options};
         CREATE INDEX account_amount ON account(amount);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ACCOUNTS})
         INSERT INTO account SELECT i, {EACH}, zeroblob(100) FROM n;"
    ))
    .unwrap();
    conn
}

/// Moves money around, until it is told to stop. Rows grow and shrink, so that pages are split and freed.
fn transfer(conn: &mut Connection, random: &mut Random) {
    let tx = conn.transaction_with(finalite::TransactionBehavior::Immediate).unwrap();
    for _ in 0..1 + random.below(20) {
        let amount = i64::try_from(random.below(50)).unwrap();
        let (from, to) = (1 + random.below(ACCOUNTS), 1 + random.below(ACCOUNTS));
        tx.execute("UPDATE account SET amount = amount - ? WHERE id = ?", (amount, from as u64)).unwrap();
        tx.execute("UPDATE account SET amount = amount + ? WHERE id = ?", (amount, to as u64)).unwrap();
        if random.one_in(4) {
            let bytes = random.below(3_000) as u64;
            tx.execute("UPDATE account SET filler = zeroblob(?) WHERE id = ?", (bytes, from as u64)).unwrap();
        }
    }
    tx.commit().unwrap();
}

/// Scans beside a writer. Returns how many scans, how many of them by pages, how many did not balance, and how many
/// transactions were committed.
fn scan_beside_a_writer(path: &Path, scan: impl Fn(&Connection) -> Option<(i64, usize)>, time: Duration) -> [u64; 4] {
    let (stop, commits) = (AtomicBool::new(false), AtomicU64::new(0));
    let [mut scans, mut by_pages, mut wrong] = [0; 3];
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut conn = Connection::open(path).unwrap();
            conn.execute_batch("PRAGMA synchronous = off; PRAGMA wal_autocheckpoint = 0; PRAGMA busy_timeout = 20000")
                .unwrap();
            let mut random = Random::new(7, STREAM);
            while !stop.load(Ordering::Relaxed) {
                transfer(&mut conn, &mut random);
                if commits.fetch_add(1, Ordering::Relaxed) % 16 == 0 {
                    // A reader may be in the way.
                    let _ = conn.set_busy_timeout(Duration::from_millis(2));
                    let _ = conn.execute(&format!("PRAGMA wal_checkpoint({})", random.pick(&CHECKPOINTS)), ());
                    let _ = conn.set_busy_timeout(Duration::from_secs(20));
                }
            }
        });
        let conn = OpenOptions::new().busy_timeout(Duration::from_secs(20)).open(path).unwrap();
        // The writer ends also if a check fails.
        let _stops = Stops(&stop);
        let end = Instant::now() + time;
        while Instant::now() < end {
            scans += 1;
            match scan(&conn) {
                Some((total, rows)) => {
                    by_pages += 1;
                    wrong += u64::from(total != TOTAL || rows != ACCOUNTS);
                }
                None => thread::yield_now(),
            }
        }
    });
    [scans, by_pages, wrong, commits.into_inner()]
}

struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const ALL: &str = "SELECT id, amount FROM account NOT INDEXED";
/// The same rows, by a condition.
const ALL_BY_CONDITION: &str = "SELECT id, amount FROM account NOT INDEXED WHERE amount > 1000000 OR amount <= 1000000";

/// The same rows, from the pages of an index.
const ALL_OF_INDEX: &str = "SELECT id, amount FROM account INDEXED BY account_amount";
/// Those of a table without rowids.
const ALL_OF_KEY: &str = "SELECT id, amount FROM account INDEXED BY sqlite_autoindex_account_1";

/// The totals of a scan, and of a SELECT in the same transaction.
fn by_pages(conn: &Connection, sql: &str) -> Option<(i64, usize)> {
    conn.execute("BEGIN", ()).unwrap();
    let (mut total, mut rows) = (0, 0);
    conn.scan(sql, ())
        .strategy(ScanStrategy::Pages)
        .for_each(|row| {
            total += row.get::<i64>(1)?;
            rows += 1;
            Ok::<_, Error>(())
        })
        .unwrap();
    let sum: i64 = conn.query_one("SELECT sum(amount) FROM account", ()).unwrap();
    assert_eq!(sum, TOTAL);
    conn.execute("COMMIT", ()).unwrap();
    Some((total, rows))
}

#[test]
fn totals_balance_beside_a_writer_with_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wal.db");
    let conn = fill(&path, "wal");
    let keyed_path = dir.path().join("keyed.db");
    let keyed = fill_table(&keyed_path, "wal", "WITHOUT ROWID");
    for (conn, path, sql) in [
        (&conn, &path, ALL),
        (&conn, &path, ALL_BY_CONDITION),
        (&conn, &path, ALL_OF_INDEX),
        (&keyed, &keyed_path, ALL_OF_KEY),
    ] {
        let scan = |conn: &Connection| by_pages(conn, sql);
        let [scans, _, wrong, commits] = scan_beside_a_writer(path, scan, Duration::from_secs(3));
        // Whether it was the page reader is known of scans that nobody writes beside.
        let plan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).plan().unwrap();
        println!("{scans} scans beside {commits} transactions: {wrong} wrong; now {plan}");
        assert_eq!(plan.strategy, ScanStrategy::Pages);
        assert_eq!(wrong, 0);
        assert!(scans > 10 && commits > 10, "{scans} {commits}");
    }
}

/// A commit falls between the two looks at the log's index only now and then, so there are many short scans: each sees
/// what its own transaction sees, to the commit.
#[test]
fn a_scan_sees_what_its_transaction_sees() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ticks.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = off; CREATE TABLE tick(n INTEGER); INSERT INTO tick VALUES (0)",
    )
    .unwrap();
    let stop = AtomicBool::new(false);
    let (mut scans, mut by_pages, mut last) = (0, 0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let conn = Connection::open(&path).unwrap();
            conn.execute_batch("PRAGMA synchronous = off").unwrap();
            while !stop.load(Ordering::Relaxed) {
                conn.execute("UPDATE tick SET n = n + 1", ()).unwrap();
            }
        });
        let _stops = Stops(&stop);
        let end = Instant::now() + Duration::from_secs(4);
        while Instant::now() < end {
            conn.execute("BEGIN", ()).unwrap();
            let sql = ["SELECT n FROM tick", "SELECT n FROM tick WHERE n >= 0"][scans % 2];
            let scan = || conn.scan(sql, ()).strategy(ScanStrategy::Pages);
            let batch = scan().columns().unwrap();
            let expected: i64 = conn.query_one("SELECT n FROM tick", ()).unwrap();
            assert_eq!(batch.column(0).unwrap().as_i64().unwrap(), [expected], "scan {scans}, last {last}");
            conn.execute("COMMIT", ()).unwrap();
            by_pages += u64::from(scans % 16 < 2 && scan().plan().unwrap().strategy == ScanStrategy::Pages);
            scans += 1;
            last = expected;
        }
    });
    println!("{scans} scans up to commit {last}; {by_pages} of {} plans are for pages", scans / 8 + 2);
    // How many are of pages depends on how fast either is.
    assert!(last > 100 && by_pages > 10, "{last} {by_pages} {scans}");
}

/// While a writer works as fast as it can, scans still learn what they see.
#[test]
fn scans_beside_a_writer_are_of_pages() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wal.db");
    drop(fill(&path, "wal"));
    let (planned, pages) = (AtomicU64::new(0), AtomicU64::new(0));
    let plan = |conn: &Connection| {
        let plan = conn.scan(ALL, ()).strategy(ScanStrategy::Pages).plan().unwrap();
        planned.fetch_add(1, Ordering::Relaxed);
        pages.fetch_add(u64::from(plan.strategy == ScanStrategy::Pages), Ordering::Relaxed);
        None
    };
    scan_beside_a_writer(&path, plan, Duration::from_secs(3));
    let (planned, pages) = (planned.into_inner(), pages.into_inner());
    println!("{pages} of {planned} plans are for pages");
    assert!(pages > 10, "{pages} of {planned}");
}

/// The same by a connection whose main database is another one.
#[test]
fn totals_of_an_attached_table_balance_beside_a_writer() {
    for journal in ["wal", "delete"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("attached.db");
        drop(fill(&path, journal));
        let conn = OpenOptions::new().busy_timeout(Duration::from_secs(20)).open(":memory:").unwrap();
        conn.attach(&path, "attached").unwrap().keep();
        for sql in [ALL, ALL_BY_CONDITION, "SELECT id, amount FROM account WHERE id > 0 AND id <= 3000"] {
            let scan = |_: &Connection| by_pages(&conn, sql);
            let [scans, _, wrong, commits] = scan_beside_a_writer(&path, scan, Duration::from_secs(2));
            // The statement has to be stepped once, if SQLite has given it up.
            let plans = [(); 2].map(|()| conn.scan(sql, ()).strategy(ScanStrategy::Pages).plan().unwrap());
            println!("{journal}: {scans} scans beside {commits} transactions: {wrong} wrong; now {}", plans[1]);
            assert_eq!((plans[1].strategy, wrong), (ScanStrategy::Pages, 0), "{sql}");
            assert!(scans > 5 && commits > 0, "{scans} {commits}");
        }
    }
}

#[test]
fn totals_balance_beside_a_writer_with_a_journal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    drop(fill(&path, "delete"));
    for sql in [ALL, ALL_BY_CONDITION, ALL_OF_INDEX] {
        let scan = |conn: &Connection| by_pages(conn, sql);
        let [scans, _, wrong, commits] = scan_beside_a_writer(&path, scan, Duration::from_secs(2));
        println!("{scans} scans beside {commits} transactions: {wrong} wrong");
        assert_eq!(wrong, 0);
        assert!(scans > 5 && commits > 0, "{scans} {commits}");
    }
}

/// Positive control: the same tree read without the rule, from the database file alone, does not balance; at rest it
/// does.
#[test]
fn read_without_the_snapshot_totals_do_not_balance() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wal.db");
    let conn = fill(&path, "wal");
    let at_rest = |conn: &Connection| {
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)", ()).unwrap();
        assert_eq!(file_alone(conn), Some((TOTAL, ACCOUNTS)));
    };
    at_rest(&conn);
    let [_, scans, wrong, commits] = scan_beside_a_writer(&path, file_alone, Duration::from_secs(3));
    println!("{scans} scans without the rule, beside {commits} transactions: {wrong} wrong");
    assert!(wrong > 0, "the check sees nothing");
    at_rest(&conn);
}

/// The amounts in the table's tree, as the database file has them, whatever is in the log.
fn file_alone(conn: &Connection) -> Option<(i64, usize)> {
    conn.execute("BEGIN", ()).unwrap();
    let root: i64 = conn.query_one("SELECT rootpage FROM sqlite_schema WHERE name = 'account'", ()).unwrap();
    let byte = |page: &[u8], at: usize| i64::from(*page.get(at).unwrap_or(&0));
    let number = |page: &[u8], at: i64, bytes: i64| {
        (at..at + bytes).fold(0, |value, at| value << 8 | byte(page, usize::try_from(at).unwrap_or(usize::MAX)))
    };
    let (mut total, mut rows, mut pages) = (0, 0, vec![root]);
    // What is torn may lead in a circle.
    for _ in 0..10_000 {
        let Some(page) = pages.pop().map(|page| read_page(conn, page - 1)) else {
            break;
        };
        let cells = number(&page, 3, 2);
        if page[0] == 5 {
            pages.extend((0..cells).map(|cell| number(&page, number(&page, 12 + 2 * cell, 2), 4)));
            pages.push(number(&page, 8, 4));
        }
        for cell in (0..cells).filter(|_| page[0] == 13) {
            let mut at = number(&page, 8 + 2 * cell, 2);
            let mut varint = || {
                let mut value = 0_i64;
                loop {
                    at += 1;
                    value = value << 7 | number(&page, at - 1, 1) & 0x7f;
                    if number(&page, at - 1, 1) < 0x80 {
                        return value;
                    }
                }
            };
            let [_, _, header, _, serial] = [varint(), varint(), varint(), varint(), varint()];
            let bits = 64 - 8 * serial.clamp(1, 4);
            let stored = number(&page, at - 3 + header.min(9), serial.clamp(1, 4)) << bits >> bits;
            total += if serial > 4 { serial - 8 } else { stored };
            rows += 1;
        }
    }
    conn.execute("COMMIT", ()).unwrap();
    Some((total, rows))
}

fn read_page(conn: &Connection, number: i64) -> Vec<u8> {
    let mut page = vec![0_u8; 4096];
    let mut file: *mut ffi::sqlite3_file = std::ptr::null_mut();
    let argument: *mut *mut ffi::sqlite3_file = &raw mut file;
    // SAFETY: the connection is open, and nothing is closed; the file is the pager's, and read within its page.
    unsafe {
        let main = c"main".as_ptr();
        ffi::sqlite3_file_control(conn.as_raw(), main, ffi::SQLITE_FCNTL_FILE_POINTER, argument.cast::<c_void>());
        let read = (*(*file).pMethods).xRead.unwrap();
        read(file, page.as_mut_ptr().cast(), 4096, number * 4096);
    }
    page
}

const VICTIM: &str = "FINALITE_TEST_PAGES_VICTIM";

/// Not a test: the process that is killed.
#[test]
fn victim() {
    let Some(path) = std::env::var_os(VICTIM) else {
        return;
    };
    let mut conn = Connection::open(Path::new(&path)).unwrap();
    // So few pages are kept that changes are written before the commit.
    conn.execute_batch("PRAGMA cache_size = 5; PRAGMA synchronous = off").unwrap();
    let mut random = Random::new(u64::from(std::process::id()), STREAM);
    loop {
        let tx = conn.transaction_with(finalite::TransactionBehavior::Immediate).unwrap();
        let amount = i64::try_from(random.below(9)).unwrap();
        tx.execute("UPDATE account SET amount = amount + iif(id % 2, ?1, -?1)", (amount,)).unwrap();
        tx.commit().unwrap();
        // Changes are written under the exclusive lock, which lets no reader in.
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn after_a_kill_of_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (mut hot, mut beside) = (0, 0);
    let sum = |rows: &[Vec<Cell>]| -> i64 {
        rows.iter().map(|row| if let Cell::Integer(amount) = row[1] { amount } else { 0 }).sum()
    };
    for (round, journal) in ["delete", "wal", "truncate", "wal", "persist", "delete"].into_iter().enumerate() {
        let path = dir.path().join(format!("{round}.db"));
        drop(fill(&path, journal));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writers::victim", "--nocapture"])
            .env(VICTIM, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Beside another process the totals balance as well.
        let end = Instant::now() + Duration::from_millis(300 + 37 * u64::try_from(round).unwrap());
        let conn = OpenOptions::new().busy_timeout(Duration::from_secs(30)).open(&path).unwrap();
        while Instant::now() < end {
            for sql in [ALL, ALL_OF_INDEX] {
                let found = read(conn.scan(sql, ()), ScanStrategy::Pages).unwrap();
                assert_eq!(sum(&found), TOTAL, "{journal}, beside a process");
                beside += 1;
            }
        }
        conn.close().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let left = |suffix| path.with_extension(suffix).metadata().is_ok_and(|left| left.len() > 0);
        hot += usize::from(left("db-journal") || left("db-wal"));
        let conn = Connection::open(&path).unwrap();
        for sql in [ALL, ALL_OF_INDEX] {
            let found = read(conn.scan(sql, ()), ScanStrategy::Pages).unwrap();
            let plan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).plan().unwrap();
            assert_eq!(plan.strategy, ScanStrategy::Pages, "{journal}: {plan}");
            let expected = read(conn.scan(sql, ()), ScanStrategy::Statement).unwrap();
            assert!(found == expected, "{journal}");
            assert_eq!(sum(&found), TOTAL, "{journal}");
        }
    }
    println!("{hot} of 6 left a journal or a log; {beside} scans beside a process");
    assert!(hot >= 2, "{hot}");
}
