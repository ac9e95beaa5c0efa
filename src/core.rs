//! Everything that a statement needs of its connection: the handle, the statement cache, the transaction guards.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::time::Duration;

use crate::error::{Error, Fault};
use crate::raw::{Db, Limit, OwnedDb};
use crate::track::activity::{self, Start};
use crate::track::shielded;

pub(crate) mod cache;
mod checkout;
pub(crate) mod failures;
mod guards;
mod orphans;
mod stored;

use cache::Cache;
pub(crate) use checkout::{Checkout, Place, Reuse};
use guards::Guards;
pub(crate) use orphans::report_orphans;
use stored::StoredStatements;

/// The part of a connection that its statements borrow.
pub(crate) struct Core {
    db: OwnedDb,
    cache: RefCell<Cache>,
    stored: RefCell<StoredStatements>,
    guards: Guards,
    slow_threshold: Cell<Option<Duration>>,
}

impl Core {
    pub(crate) fn new(db: OwnedDb) -> Self {
        Self {
            db,
            cache: RefCell::new(Cache::new(Cache::STATEMENTS_MAX, Cache::BYTES_MAX)),
            stored: RefCell::default(),
            guards: Guards::default(),
            slow_threshold: Cell::new(None),
        }
    }

    #[inline]
    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    pub(crate) fn db_mut(&mut self) -> &mut OwnedDb {
        &mut self.db
    }

    #[inline]
    pub(crate) fn cache(&self) -> &RefCell<Cache> {
        &self.cache
    }

    #[inline]
    pub(crate) fn stored(&self) -> &RefCell<StoredStatements> {
        &self.stored
    }

    #[inline]
    pub(crate) fn guards(&self) -> &Guards {
        &self.guards
    }

    #[inline]
    pub(crate) fn slow_threshold(&self) -> Option<Duration> {
        self.slow_threshold.get()
    }

    pub(crate) fn set_slow_threshold(&self, threshold: Option<Duration>) {
        self.slow_threshold.set(threshold);
    }

    /// Returns the number and the name that identify the connection in events.
    pub(crate) fn identity(&self) -> (u64, Option<&str>) {
        (self.db.id(), self.db.info().name())
    }

    /// Converts a fault to an error, which names the database file if the fault is about the file.
    #[cold]
    pub(crate) fn error(&self, fault: Fault) -> Error {
        let parameters_max = || usize::try_from(self.db.limit(Limit::VariableNumber)).unwrap_or(usize::MAX);
        Error::from(fault).in_databases(|| self.db.files()).with_parameter_limit(parameters_max)
    }

    /// Returns the number of rows that changed since the total of changes was read; 0 if none did.
    #[inline]
    pub(crate) fn changes_since(&self, total_before: i64) -> usize {
        if self.db.total_changes() == total_before { 0 } else { self.changes() }
    }

    /// Returns the number of rows that the last INSERT, UPDATE or DELETE changed.
    pub(crate) fn changes(&self) -> usize {
        usize::try_from(self.db.changes()).unwrap_or(0)
    }

    /// Returns the time at which an execution begins, if executions are timed or a slow one is to be logged.
    #[inline]
    pub(crate) fn start_time(&self, reads_only: bool) -> Option<Start> {
        Start::now(self.slow_threshold().is_some(), reads_only)
    }

    /// Whether an execution may begin without [`check_transaction`](Self::check_transaction), and its time is not wanted.
    #[inline(always)]
    pub(crate) fn is_at_ease(&self) -> bool {
        self.is_transaction_well() && self.slow_threshold().is_none() && !activity::is_timing()
    }

    /// Counts an execution that was timed, and logs one that took at least the threshold.
    #[cold]
    #[inline(never)]
    pub(crate) fn ended(&self, started: Start, sql: &str, prepared_at: &'static Location<'static>) {
        let elapsed = started.elapsed();
        activity::ended(started, elapsed, self.slow_threshold(), self.db.id(), sql, prepared_at);
        if self.slow_threshold().is_some_and(|threshold| elapsed >= threshold) {
            let (connection, name) = self.identity();
            shielded(|| {
                tracing::warn!(target: "finalite::slow", sql, ?elapsed, connection, name, %prepared_at, "slow statement");
            });
        }
    }

    /// Closes the handle. Statements of the cache and those that have a key are finalized, and those that were forgotten.
    pub(crate) fn close(&mut self) -> Result<(), Fault> {
        let mut kept = self.cache.get_mut().take_all();
        kept.append(&mut self.stored.get_mut().take_all());
        self.db.close(kept)
    }
}
