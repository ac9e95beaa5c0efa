//! Everything at once: eight threads, one pool, and whatever can fail does.
//!
//! Rollbacks that are denied, locks of another program's, connections that cannot be opened, no memory at any point,
//! panics in closures, interrupts from elsewhere, session state left behind, guards that are forgotten. What is tested:
//! no caller waits for ever, nothing is left, and the ledger is right: what was told to be stored is there, once, and
//! what was told not to be is not.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use finalite::memory::AllocationFault;
use finalite::pool::{DestroyReason, Pool, RetryPolicy};
use finalite::{
    Connection, Error, ErrorKind, InterruptHandle, OpenOptions, Result, Transaction, TransactionBehavior, handles,
};
use serde_json::json;

use crate::common::incident::{change_by, times, watch_rollbacks, while_rollback_is_denied};
use crate::runner::cases;

cases![the_ledger_is_right_with_a_log, the_ledger_is_right_without_a_log,];

const THREADS: u64 = 8;
const READERS: usize = 4;
const ACCOUNTS: u64 = 10;
const SUM: i64 = 1000 * ACCOUNTS as i64;
/// How many guards are forgotten; each costs a slot.
const FORGOTTEN: u64 = 3;

thread_local! {
    static OPENING_FAILS: Cell<bool> = const { Cell::new(false) };
}

/// Small numbers that are not in any order, the same in every run of a thread.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // Knuth's MMIX generator; the upper bits are the better ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What is known of a transfer from what the call returned.
#[derive(Default)]
struct Known {
    stored: Mutex<BTreeSet<u64>>,
    refused: Mutex<BTreeSet<u64>>,
    forgotten: AtomicU64,
    errors: AtomicU64,
    out_of_memory: AtomicU64,
    interrupts: AtomicU64,
    /// The newest handle of each thread: others use it.
    handles: Mutex<Vec<InterruptHandle>>,
}

impl Known {
    fn tell<T>(&self, result: &Result<T>) {
        let Err(error) = result else { return };
        self.errors.fetch_add(1, Ordering::Relaxed);
        assert!(!matches!(error.kind(), ErrorKind::PoolTimeout { .. }), "nobody waits for ever: {error}");
        assert!(!matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
        assert_ne!(error.code_name(), Some("SQLITE_CORRUPT"), "{error}");
    }

    fn tell_of(&self, id: u64, result: &Result<()>) {
        self.tell(result);
        let which = if result.is_ok() { &self.stored } else { &self.refused };
        which.lock().unwrap().insert(id);
    }
}

fn checksum(id: u64, from: u64, to: u64, amount: u64) -> u64 {
    [id, from, to, amount].iter().fold(17, |sum, part| (sum * 31 + part) % 1_000_003)
}

/// One transfer: two balances and an entry.
fn transfer(tx: &Transaction<'_>, id: u64, random: &mut Random) -> Result<()> {
    let (from, to, amount) = (random.below(ACCOUNTS), random.below(ACCOUNTS), random.below(50));
    tx.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, from))?;
    tx.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, to))?;
    let sum = checksum(id, from, to, amount);
    tx.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?)", (id, from, to, amount, sum))?;
    Ok(())
}

/// Whether the balances are what the entries make of them.
fn is_balanced(conn: &Connection) -> Result<bool> {
    let (sum, wrong): (i64, i64) = conn.query_one(
        "SELECT (SELECT sum(balance) FROM account), (SELECT count(*) FROM account LEFT JOIN
            (SELECT who, sum(part) AS moved FROM
                (SELECT \"to\" AS who, amount AS part FROM entry UNION ALL SELECT \"from\", -amount FROM entry)
            GROUP BY who) ON who = account.id WHERE balance <> 1000 + ifnull(moved, 0))",
        (),
    )?;
    Ok((sum, wrong) == (SUM, 0))
}

fn assert_balanced(conn: &Connection) -> Result<()> {
    assert!(is_balanced(conn)?, "the ledger does not balance");
    Ok(())
}

/// Runs this with memory failing somewhere in it.
fn short_of_memory<T>(known: &Known, random: &mut Random, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let fault = AllocationFault::after(random.below(60)).sticky(random.below(4) == 0).arm();
    let result = work();
    known.out_of_memory.fetch_add(fault.disarm().min(1), Ordering::Relaxed);
    result
}

struct Failing;

impl Failing {
    fn now() -> Self {
        OPENING_FAILS.set(true);
        Self
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        OPENING_FAILS.set(false);
    }
}

/// One thing that a program does, well or badly.
fn step(pool: &Pool, path: &Path, known: &Known, random: &mut Random, id: u64) {
    match random.below(20) {
        0..=4 => known.tell_of(id, &pool.write(|tx| transfer(tx, id, random))),
        5 | 6 => {
            let mut inner = Random(random.below(u64::from(u32::MAX)));
            let write = || pool.write(|tx| transfer(tx, id, &mut inner));
            known.tell_of(id, &short_of_memory(known, random, write));
        }
        7 => {
            let write = || {
                pool.write(|tx| -> Result<()> {
                    transfer(tx, id, random)?;
                    resume_unwind(Box::new("in the closure"));
                })
            };
            if catch_unwind(AssertUnwindSafe(write)).is_err() {
                known.refused.lock().unwrap().insert(id);
            }
        }
        8 => known.tell_of(
            id,
            &pool.write(|tx| {
                transfer(tx, id, random)?;
                Err(Error::external("the closure's own"))
            }),
        ),
        9 => known.tell_of(id, &denied(pool, random, id)),
        10 => known.tell_of(id, &by_another(path, random, id)),
        11 => interrupt(known, random),
        12 => {
            let _failing = Failing::now();
            known.tell(&pool.reader().map(drop));
            known.tell_of(id, &pool.write(|tx| transfer(tx, id, random)));
        }
        13 => known.tell(&leave_behind(pool, random)),
        14 => known.tell(&short_of_memory(known, random, || assert_balanced(&*pool.reader()?))),
        15 if random.below(20) == 0 => forget_one(pool, known),
        15 => known.tell(&pool.reserve().and_then(|conn| assert_balanced(&conn))),
        _ => known.tell(&read(pool, known)),
    }
}

fn read(pool: &Pool, known: &Known) -> Result<()> {
    let mut reader = pool.reader()?;
    assert!(reader.is_autocommit(), "lent with a transaction open");
    {
        let mut handles = known.handles.lock().unwrap();
        handles.truncate(THREADS as usize);
        handles.insert(0, reader.interrupt_handle());
    }
    let tx = reader.transaction()?;
    assert_balanced(&tx)?;
    assert_balanced(&tx)?;
    tx.commit()
}

fn denied(pool: &Pool, random: &mut Random, id: u64) -> Result<()> {
    let mut writer = pool.writer()?;
    // A `ROLLBACK` that is prepared is not asked about again.
    writer.clear_statement_cache();
    let tx = writer.transaction()?;
    transfer(&tx, id, random)?;
    while_rollback_is_denied(|| drop(tx));
    while_rollback_is_denied(|| drop(writer));
    Err(Error::external("not committed"))
}

/// Another program, with a connection of its own.
fn by_another(path: &Path, random: &mut Random, id: u64) -> Result<()> {
    let mut conn = OpenOptions::new().pragma("synchronous", "off").open(path)?;
    let tx = conn.transaction_with(TransactionBehavior::Immediate)?;
    transfer(&tx, id, random)?;
    // For longer than the pool's connections wait.
    thread::sleep(Duration::from_millis(3));
    tx.commit()
}

fn interrupt(known: &Known, random: &mut Random) {
    let handles = known.handles.lock().unwrap();
    let Some(count) = std::num::NonZero::new(handles.len() as u64) else { return };
    handles[random.below(count.get()) as usize].interrupt();
    known.interrupts.fetch_add(1, Ordering::Relaxed);
}

fn leave_behind(pool: &Pool, random: &mut Random) -> Result<()> {
    let conn = if random.below(2) == 0 { pool.writer()? } else { pool.reader()? };
    conn.execute_batch(match random.below(4) {
        0 => "CREATE TEMP TABLE left(a)",
        1 => "ATTACH ':memory:' AS other",
        2 => "PRAGMA foreign_keys = OFF; PRAGMA cache_size = 5",
        _ => "BEGIN; SELECT count(*) FROM account",
    })
}

fn forget_one(pool: &Pool, known: &Known) {
    if known.forgotten.fetch_add(1, Ordering::Relaxed) < FORGOTTEN
        && let Ok(reader) = pool.reader()
    {
        forget(reader);
    } else {
        known.forgotten.fetch_sub(1, Ordering::Relaxed);
    }
}

fn prepare(path: &Path, options: &OpenOptions) {
    let conn = options.open(path).unwrap();
    conn.execute_batch(
        "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
         CREATE TABLE entry(id INTEGER PRIMARY KEY, \"from\" INTEGER, \"to\" INTEGER, amount INTEGER, sum INTEGER);",
    )
    .unwrap();
    for id in 0..ACCOUNTS {
        conn.execute("INSERT INTO account VALUES (?, 1000)", (id,)).unwrap();
    }
}

fn the_ledger_is_right_with_a_log() {
    nothing_is_left_and_the_ledger_is_right("wal", OpenOptions::recommended());
}

/// Without a write-ahead log, where readers bar the commit.
fn the_ledger_is_right_without_a_log() {
    nothing_is_left_and_the_ledger_is_right("delete", OpenOptions::new());
}

fn nothing_is_left_and_the_ledger_is_right(mode: &str, options: OpenOptions) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let options = options.pragma("synchronous", "off").busy_timeout(Duration::from_millis(1));
    prepare(&path, &options);
    run(mode, &path, &options);
}

fn run(mode: &str, path: &Path, options: &OpenOptions) {
    let steps = times(250, 2500) as u64;
    let known = Known::default();
    let mut destroyed = json!({});
    let change = change_by(|| {
        let retry = RetryPolicy::new(Duration::from_secs(10)).attempts(200);
        let init = |conn: &mut Connection| {
            if OPENING_FAILS.get() { Err(Error::external("not now")) } else { watch_rollbacks(conn) }
        };
        // One reader is left whatever is forgotten.
        let pool = Pool::builder(path).readers(READERS).reserved(1).options(options.clone()).init(init);
        let pool = pool.write_retry(retry).acquire_timeout(Duration::from_secs(300)).build().unwrap();
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (pool, known) = (&pool, &known);
                scope.spawn(move || {
                    let mut random = Random(number + 1);
                    (0..steps).for_each(|turn| step(pool, path, known, &mut random, number * steps + turn));
                });
            }
        });
        known.handles.lock().unwrap().clear();
        let status = pool.status();
        for reason in DestroyReason::ALL {
            destroyed[reason.name()] = json!(status.destroyed(reason));
        }
        let forgotten = known.forgotten.load(Ordering::Relaxed);
        let report = pool.close();
        assert_eq!((report.checked_out().len() as u64, report.failures().len()), (forgotten, 0), "{report}");
    });
    check_ledger(path, &known);
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let more = json!({
        "mode": mode,
        "destroyed": destroyed,
        "forgotten": count(&known.forgotten),
        "stored": known.stored.lock().unwrap().len(),
        "refused": known.refused.lock().unwrap().len(),
        "errors": count(&known.errors),
        "out_of_memory": count(&known.out_of_memory),
        "interrupts": count(&known.interrupts),
        "forgotten_handles": handles::forgotten().total(),
    });
    change.print("everything", (THREADS * steps) as usize, &more);
    change.assert_none();
}

fn check_ledger(path: &Path, known: &Known) {
    let conn = Connection::open(path).unwrap();
    assert_balanced(&conn).unwrap();
    assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
    let entries: Vec<(u64, u64, u64, u64, u64)> = conn.query_all("SELECT * FROM entry", ()).unwrap();
    for &(id, from, to, amount, sum) in &entries {
        assert_eq!(checksum(id, from, to, amount), sum, "entry {id}");
    }
    let ids: BTreeSet<u64> = entries.iter().map(|entry| entry.0).collect();
    let (stored, refused) = (known.stored.lock().unwrap(), known.refused.lock().unwrap());
    let lost: Vec<_> = stored.difference(&ids).collect();
    let undead: Vec<_> = refused.intersection(&ids).collect();
    assert!(lost.is_empty() && undead.is_empty(), "lost {lost:?}, stored though it failed {undead:?}");
    assert_eq!(ids.len(), stored.len());
    // The check sees a transfer that is not whole.
    conn.execute("UPDATE account SET balance = balance + 1 WHERE id = 3", ()).unwrap();
    conn.execute("UPDATE account SET balance = balance - 1 WHERE id = 4", ()).unwrap();
    assert!(!is_balanced(&conn).unwrap(), "a cent that changed hands without an entry");
}
