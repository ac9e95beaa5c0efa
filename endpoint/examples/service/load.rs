//! What the threads do to the ledger, so that there is something to see.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use finalite::{Error, Result};

use crate::ledger::{ACCOUNTS, Ledger};

#[derive(Default)]
pub struct Load {
    is_over: AtomicBool,
    transfers: AtomicU64,
    reads: AtomicU64,
    failure: Mutex<Option<Error>>,
}

/// How often what was done.
#[derive(Clone, Copy)]
pub struct Counts {
    pub transfers: u64,
    pub reads: u64,
}

impl Load {
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub fn counts(&self) -> Counts {
        Counts { transfers: self.transfers.load(Ordering::Relaxed), reads: self.reads.load(Ordering::Relaxed) }
    }

    /// The first error of a thread.
    pub fn into_failure(self) -> Option<Error> {
        self.failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The life of one thread: every fourth one writes, one reports, the others read.
    pub fn run(&self, thread: usize, ledger: &Ledger) {
        let mut random = Random(thread as u64 + 1);
        let outcome = match thread {
            1 => self.hold_a_session(ledger),
            _ => self.work(thread.is_multiple_of(4), &mut random, ledger),
        };
        if let Err(error) = outcome {
            self.stop();
            self.failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
        }
    }

    fn work(&self, is_writer: bool, random: &mut Random, ledger: &Ledger) -> Result<()> {
        let start = Instant::now();
        while !self.is_over() {
            if is_writer {
                let (payer, payee) = (random.below(ACCOUNTS) + 1, random.below(ACCOUNTS) + 1);
                ledger.transfer(payer, payee, random.below(500) + 1, &format!("invoice {}", random.below(10_000)))?;
                self.transfers.fetch_add(1, Ordering::Relaxed);
            } else {
                // Quiet and busy times in turn: something moves.
                if start.elapsed().as_secs() % 20 < 8 && random.below(20) == 0 {
                    ledger.largest_payers()?;
                    ledger.balance()?;
                }
                ledger.cents(random.below(ACCOUNTS) + 1)?;
                self.reads.fetch_add(1, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_micros(500));
        }
        Ok(())
    }

    /// Keeps a connection, with a temporary table that it fills and empties, and statements that it holds for a while.
    fn hold_a_session(&self, ledger: &Ledger) -> Result<()> {
        let session = ledger.pool().reserve()?;
        session.execute("CREATE TEMP TABLE report(account, cents, note)", ())?;
        while !self.is_over() {
            session.execute("INSERT INTO report SELECT id, cents, hex(randomblob(400)) FROM account", ())?;
            let statements =
                ["max", "min", "avg", "total"].map(|f| session.prepare(&format!("SELECT {f}(cents) FROM report")));
            for _ in 0..20 {
                if !self.is_over() {
                    thread::sleep(Duration::from_millis(100));
                }
            }
            for statement in statements {
                statement?.query_one::<f64>(())?;
            }
            if session.query_one::<i64>("SELECT count(*) FROM report", ())? >= 8 * ACCOUNTS {
                session.execute("DELETE FROM report", ())?;
                session.release_memory()?;
            }
            self.reads.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.unsigned_abs()).cast_signed()
    }
}
