//! Snapshots beside a writer, with precautions and without.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::readers::Beginning;
use crate::error::Result;
use crate::scan::{Partitions, ScanStrategy};
use crate::statement::Row;
use crate::transaction::TransactionBehavior;
use crate::{Connection, OpenOptions};

const ACCOUNTS: i64 = 2_000;
const FIRST: i64 = -3_000;
const TOTAL: i64 = ACCOUNTS * 100;
const SERIAL: &str = "SELECT count(*), sum(id * amount) FROM account";

fn fill(path: &Path, journal: &str) -> Connection {
    let conn = OpenOptions::new().busy_timeout(Duration::from_secs(20)).open(path).unwrap();
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = {journal}; PRAGMA synchronous = off;
         CREATE TABLE account(id INTEGER PRIMARY KEY, amount INTEGER, filler BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ACCOUNTS})
         INSERT INTO account SELECT (i - 1) * 7 + {FIRST}, 100, zeroblob(100) FROM n;
         CREATE TABLE state(version INTEGER);
         CREATE TABLE history(version INTEGER PRIMARY KEY, rows INTEGER, weight INTEGER);
         INSERT INTO state VALUES (0);
         INSERT INTO history SELECT 0, count(*), sum(id * amount) FROM account;",
    ))
    .unwrap();
    conn
}

/// A writer, and what a serial scan would find after its last commit.
struct Writer {
    conn: Connection,
    rows: i64,
    weight: i64,
    round: i64,
}

impl Writer {
    fn open(path: &Path) -> Self {
        let conn = OpenOptions::new().busy_timeout(Duration::from_secs(60)).open(path).unwrap();
        conn.execute("PRAGMA synchronous = off", ()).unwrap();
        let (rows, weight) = conn.query_one(SERIAL, ()).unwrap();
        Self { conn, rows, weight, round: 0 }
    }

    /// Moves an amount between two rows, and splits a row into two, or puts them together again. The sum stays.
    fn transfer(&mut self) -> Result<()> {
        let Self { conn, rows, weight, round } = self;
        let tx = conn.transaction_with(TransactionBehavior::Immediate)?;
        let account = |n: i64| n.rem_euclid(ACCOUNTS) * 7 + FIRST;
        let (from, to) = (account(*round * 37), account(-*round * 53));
        tx.execute("UPDATE account SET amount = amount - 5 WHERE id = ?", (from,))?;
        tx.execute("UPDATE account SET amount = amount + 5 WHERE id = ?", (to,))?;
        *weight += (to - from) * 5;
        if *round % 2 == 0 {
            tx.execute("UPDATE account SET amount = amount - 40 WHERE id = ?", (to,))?;
            tx.execute("INSERT INTO account VALUES (?, 40, zeroblob(300))", (to + 1,))?;
            (*rows, *weight) = (*rows + 1, *weight + 40);
        } else {
            let previous = account(-(*round - 1) * 53);
            tx.execute("UPDATE account SET amount = amount + 40 WHERE id = ?", (previous,))?;
            tx.execute("DELETE FROM account WHERE id = ?", (previous + 1,))?;
            (*rows, *weight) = (*rows - 1, *weight - 40);
        }
        *round += 1;
        tx.execute("UPDATE state SET version = ?", (*round,))?;
        tx.execute("INSERT INTO history VALUES (?, ?, ?)", (*round, *rows, *weight))?;
        if *round % 64 == 0 {
            assert_eq!(tx.query_one::<(i64, i64)>(SERIAL, ())?, (*rows, *weight));
        }
        tx.commit()
    }
}

/// Rows of a range, and the versions of the database that they were read from.
#[derive(Default)]
struct Found {
    rows: i64,
    total: i64,
    weight: i64,
    versions: Vec<i64>,
}

impl Found {
    fn read(partitions: Partitions<'_, ()>) -> Result<Self> {
        partitions.fold(
            Self::default,
            |found, row: Row<'_>| {
                let (id, amount): (i64, i64) = (row.get(0)?, row.get(1)?);
                found.rows += 1;
                found.total += amount;
                found.weight += id * amount;
                // From pages there is no version beside the row.
                if row.column_count() == 2 {
                    return Ok(());
                }
                let version = row.get(2)?;
                if found.versions.last() != Some(&version) {
                    found.versions.push(version);
                }
                Ok(())
            },
            |found, other| {
                found.rows += other.rows;
                found.total += other.total;
                found.weight += other.weight;
                found.versions.extend(other.versions);
                found.versions.dedup();
            },
        )
    }

    /// Whether it is the state of one commit, as a serial scan has found it.
    fn is_one_snapshot(&self, conn: &Connection) -> bool {
        let found: (i64, i64) = match *self.versions {
            [version] => conn.query_one("SELECT rows, weight FROM history WHERE version = ?", (version,)).unwrap(),
            [] => {
                let sql = "SELECT rows, weight FROM history WHERE weight = ? AND rows = ? LIMIT 1";
                let Some(found) = conn.query_optional(sql, (self.weight, self.rows)).unwrap() else {
                    return false;
                };
                found
            }
            _ => return false,
        };
        self.total == TOTAL && found == (self.rows, self.weight)
    }
}

struct Outcome {
    scans: u32,
    parallel: u32,
    by_pages: u32,
    wrong: u32,
    commits: i64,
}

/// Scans beside a writer that commits all the time.
fn scan_beside_a_writer(journal: &str, threads: usize, way: (Beginning, bool), scans_max: u32) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("accounts.db");
    let (beginning, read_only) = way;
    drop(fill(&path, journal));
    let conn = OpenOptions::new().read_only(read_only).busy_timeout(Duration::from_secs(20)).open(&path).unwrap();
    let stop = AtomicBool::new(false);
    let mut outcome = Outcome { scans: 0, parallel: 0, by_pages: 0, wrong: 0, commits: 0 };
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut writer = Writer::open(&path);
            while !stop.load(Ordering::Relaxed) {
                writer.transfer().unwrap();
            }
            writer.round
        });
        struct Stops<'a>(&'a AtomicBool);
        impl Drop for Stops<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let stops = Stops(&stop);
        let sql = "SELECT id, amount, (SELECT version FROM state) FROM account
                   WHERE id BETWEEN :first_rowid AND :last_rowid";
        let of_pages = "SELECT id, amount FROM account WHERE id BETWEEN :first_rowid AND :last_rowid";
        while outcome.scans < scans_max && outcome.wrong == 0 {
            let mut plan = None;
            let scan = match outcome.scans % 2 {
                0 => conn.scan(sql, ()),
                _ => conn.scan(of_pages, ()).strategy(ScanStrategy::Pages),
            };
            let mut partitions = scan.partitions_of("account", threads).on_end(|it| plan = Some(it));
            partitions.beginning = beginning;
            let found = Found::read(partitions).unwrap();
            outcome.scans += 1;
            let plan = plan.unwrap();
            outcome.parallel += u32::from(plan.threads > 1);
            outcome.by_pages += u32::from(plan.strategy == ScanStrategy::Pages);
            outcome.wrong += u32::from(!found.is_one_snapshot(&conn));
        }
        drop(stops);
        outcome.commits = writer.join().unwrap();
    });
    let Outcome { scans, parallel, by_pages, wrong, commits } = outcome;
    println!(
        "{journal}, {threads} threads, {beginning:?}, read-only {read_only}: {scans} scans, {parallel} parallel, {by_pages} by pages, {wrong} wrong, {commits} commits"
    );
    outcome
}

fn check(journal: &str, threads: usize, way: (Beginning, bool), scans: u32) {
    let outcome = scan_beside_a_writer(journal, threads, way, scans);
    assert_eq!(outcome.wrong, 0);
    // How many there are depends on the machine. Without any, nothing was looked at.
    assert!(outcome.parallel > scans / 12 && outcome.by_pages > scans / 40 && outcome.commits > 0);
}

#[test]
fn totals_are_of_one_snapshot_beside_a_writer_with_a_log() {
    for threads in [2, 3] {
        check("wal", threads, (Beginning::LockIfNeeded, false), 150);
    }
}

#[test]
fn totals_are_of_one_snapshot_by_the_lock_alone() {
    check("wal", 3, (Beginning::WithLock, false), 150);
    check("delete", 2, (Beginning::WithLock, false), 60);
}

#[test]
fn totals_are_of_one_snapshot_beside_a_writer_with_a_rollback_journal() {
    check("delete", 2, (Beginning::LockIfNeeded, false), 60);
}

#[test]
fn totals_are_of_one_snapshot_on_a_connection_that_cannot_have_the_lock() {
    check("wal", 3, (Beginning::LockIfNeeded, true), 150);
    check("delete", 2, (Beginning::LockIfNeeded, true), 60);
}

/// Control test: without precautions, a commit falls between the first reads, and the same check finds it.
#[test]
fn totals_are_of_several_snapshots_without_precautions() {
    let outcome = scan_beside_a_writer("wal", 3, (Beginning::Unchecked, false), 20_000);
    assert_eq!(outcome.wrong, 1, "in {} scans", outcome.scans);
}

#[test]
fn a_lock_that_is_not_free_leaves_one_thread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = fill(&path, "wal");
    let mut writer = Connection::open(&path).unwrap();
    let tx = writer.transaction_with(TransactionBehavior::Immediate).unwrap();
    for (beginning, threads) in [(Beginning::WithLock, 1), (Beginning::LockIfNeeded, 2)] {
        let mut partitions = conn.scan_table("account").select(["id"]).partitions(2);
        partitions.beginning = beginning;
        let plan = partitions.plan().unwrap();
        assert_eq!(plan.threads, threads);
        assert_eq!(plan.reason.ends_with("the write lock is not free"), threads == 1, "{plan}");
    }
    assert_eq!(conn.busy_timeout().unwrap(), Duration::from_secs(20));
    let readers = OpenOptions::new().read_only(true).open(&path).unwrap();
    let mut partitions = readers.scan_table("account").select(["id"]).partitions(2);
    partitions.beginning = Beginning::WithLock;
    assert!(partitions.plan().unwrap().reason.ends_with("this one cannot take the write lock"));
    tx.rollback().unwrap();
}
