//! Statements that are in use, and their way back to the cache.

use std::panic::Location;

use super::Core;
use super::cache::Ticket;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::{Parked, Stmt};
use crate::sql;
use crate::track::{Taint, shielded};

/// A prepared statement in use. Dropping it returns it to its place.
pub(crate) struct Checkout<'conn> {
    /// `None` only while a call that consumes `self` runs.
    raw: Option<Stmt<'conn>>,
    core: &'conn Core,
    place: Place,
}

/// The place to which a statement returns after use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// None: it is finalized.
    Nowhere,
    /// The cache, which gives it a slot.
    Cache,
    /// Its slot in the cache.
    Slot(Ticket),
    /// Its slot among the statements that have a key.
    Stored(u32),
}

/// Expected use of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// By one caller, which finalizes it.
    Once,
    /// By others too: it goes to the cache.
    Cached,
}

impl<'conn> Checkout<'conn> {
    #[inline]
    pub(crate) fn new(raw: Stmt<'conn>, core: &'conn Core, place: Place) -> Self {
        Self { raw: Some(raw), core, place }
    }

    #[inline]
    pub(crate) fn core(&self) -> &'conn Core {
        self.core
    }

    #[inline]
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    #[inline]
    pub(crate) fn raw(&self) -> &Stmt<'conn> {
        self.raw.as_ref().expect("taken by calls that consume `self`")
    }

    #[inline]
    pub(crate) fn raw_mut(&mut self) -> &mut Stmt<'conn> {
        self.raw.as_mut().expect("taken by calls that consume `self`")
    }

    /// Takes the statement, which then does not return to its place.
    #[inline]
    pub(crate) fn into_raw(mut self) -> Stmt<'conn> {
        self.raw.take().expect("taken by calls that consume `self`")
    }

    /// Runs a statement of a guard, which has no parameters, regardless of the state of its transaction. Drop calls
    /// this, so nothing may unwind.
    pub(super) fn run_unchecked(&mut self, opened_at: &'static Location<'static>) -> Result<()> {
        let (connection, name) = self.core.identity();
        shielded(|| {
            let sql = self.raw().sql();
            tracing::trace!(target: "finalite::statement", sql, connection, name, %opened_at, "run");
        });
        let started = self.core.start_time(false);
        let result = self.run_to_end();
        if let Some(started) = started {
            self.core.ended(started, self.raw().sql(), opened_at);
        }
        result
    }

    fn run_to_end(&mut self) -> Result<()> {
        Ok(self.raw_mut().begin()?.run().complete()?)
    }
}

impl Drop for Checkout<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.core.put_back(raw, self.place);
        }
    }
}

impl Core {
    /// Takes a statement from the cache, or prepares it for the cache.
    #[inline]
    pub(crate) fn check_out(&self, sql: &str, site: &'static Location<'static>) -> Result<Checkout<'_>> {
        match self.find(sql) {
            Some(found) => Ok(found),
            None => self.prepare_for_cache(sql, reuse(sql), site),
        }
    }

    /// Takes a statement from the cache, or prepares it. It goes to the cache if the same SQL was asked for before: what
    /// is asked for once would displace others, and preparing it to be kept takes SQLite half as long again.
    pub(crate) fn check_out_if_repeated(&self, sql: &str, site: &'static Location<'static>) -> Result<Checkout<'_>> {
        if let Some(found) = self.find(sql) {
            return Ok(found);
        }
        let is_repeated = self.cache.borrow_mut().note_missing();
        self.prepare_for_cache(sql, if is_repeated { reuse(sql) } else { Reuse::Once }, site)
    }

    #[inline(always)]
    fn find(&self, sql: &str) -> Option<Checkout<'_>> {
        let (parked, ticket) = self.cache.borrow_mut().take(sql)?;
        Some(Checkout::new(self.db.unpark(parked), self, Place::Slot(ticket)))
    }

    #[inline(never)]
    fn prepare_for_cache(&self, sql: &str, reuse: Reuse, site: &'static Location<'static>) -> Result<Checkout<'_>> {
        let statement = self.prepare(sql, reuse, site)?;
        // Shielded, as is the event in `prepare_shown_as`: Drop of a transaction prepares its ROLLBACK.
        shielded(|| {
            let (connection, name) = self.identity();
            tracing::trace!(target: "finalite::cache", sql, connection, name, prepared_at = %site, "miss");
        });
        Ok(statement)
    }

    /// Prepares a statement for a key. Returns its slot.
    pub(crate) fn store(&self, sql: &str, site: &'static Location<'static>) -> Result<u32> {
        let slot = self.stored.borrow_mut().slot_of_copy(sql);
        drop(self.check_out_stored(slot, site)?);
        Ok(slot)
    }

    /// Takes the statement of a slot out of it, or prepares it.
    #[inline]
    pub(crate) fn check_out_stored(&self, slot: u32, site: &'static Location<'static>) -> Result<Checkout<'_>> {
        let found = self.stored.borrow_mut().take(slot);
        match found {
            Some(parked) => Ok(Checkout::new(self.db.unpark(parked), self, Place::Stored(slot))),
            None => self.prepare_for_slot(slot, site),
        }
    }

    #[inline(never)]
    fn prepare_for_slot(&self, slot: u32, site: &'static Location<'static>) -> Result<Checkout<'_>> {
        let sql = self.stored.borrow().sql(slot).expect("a key has a slot of its connection");
        let mut statement = self.prepare(&sql, reuse(&sql), site)?;
        if let Place::Cache = statement.place {
            statement.place = Place::Stored(slot);
        }
        Ok(statement)
    }

    /// Prepares one SQL statement.
    pub(crate) fn prepare(&self, sql: &str, reuse: Reuse, site: &'static Location<'static>) -> Result<Checkout<'_>> {
        self.prepare_shown_as(sql, sql, reuse, site)
    }

    /// Prepares a statement that contains a secret. Errors and events show the text `shown` instead of its SQL.
    pub(crate) fn prepare_shown_as(
        &self,
        sql: &str,
        shown: &str,
        reuse: Reuse,
        site: &'static Location<'static>,
    ) -> Result<Checkout<'_>> {
        let is_select = sql::is_select(sql);
        // Of a SELECT it is seen afterwards: others may act while they are prepared.
        if !is_select {
            check_nul(sql, shown)?;
        }
        let taint = sql::taint(sql);
        self.db.add_taint(taint);
        let prepared = self.db.prepare(sql, reuse == Reuse::Cached, site);
        self.prepared(sql, taint)?;
        // SQLite reads up to a NUL.
        if is_select && prepared.as_ref().map_or(0, |(_, taken)| *taken) < sql.len() {
            check_nul(sql, shown)?;
        }
        let (statement, taken) = prepared.map_err(|fault| self.error(fault).in_sql(shown))?;
        let Some(raw) = statement else {
            return Err(Error::new(ErrorKind::EmptySql).in_sql(shown));
        };
        let rest = sql::skip_blank(&sql[taken..]);
        if !rest.is_empty() {
            let error = Error::new(ErrorKind::TrailingSql { rest: rest.into() });
            return Err(error.in_sql(shown).at_offset(sql.len() - rest.len()));
        }
        shielded(|| {
            let (connection, name) = self.identity();
            tracing::debug!(target: "finalite::statement", sql = shown, connection, name, prepared_at = %site, "prepared");
        });
        let place = if reuse == Reuse::Cached { Place::Cache } else { Place::Nowhere };
        Ok(Checkout::new(raw.with_sql(shown, taint), self, place))
    }

    /// Takes back what a pragma that was prepared has taken from the hooks.
    pub(crate) fn prepared(&self, sql: &str, taint: Taint) -> Result<()> {
        if !taint.has(Taint::PRAGMA.with(Taint::OTHER_PRAGMA)) {
            return Ok(());
        }
        let is_busy_timeout = sql::pragma_name(sql).is_some_and(|name| name.eq_ignore_ascii_case("busy_timeout"));
        self.db.reclaim_hooks(is_busy_timeout).map_err(|fault| self.error(fault))
    }

    /// Ends the use of a statement: returns it to the cache or, without a place there, lets it be finalized.
    #[inline]
    pub(crate) fn put_back(&self, raw: Stmt<'_>, place: Place) {
        if matches!(place, Place::Nowhere) {
            return;
        }
        // If parking fails, the statement is finalized and does not return to the cache.
        let parked = match raw.park() {
            Ok(parked) => parked,
            Err(fault) => return self.db.lose(fault),
        };
        let ticket = match place {
            Place::Slot(ticket) => ticket,
            Place::Stored(slot) => {
                let surplus = self.stored.borrow_mut().put_back(parked, slot);
                return self.finalize_evicted(surplus);
            }
            Place::Nowhere | Place::Cache => return self.put_in_new_slot(parked),
        };
        let mut cache = self.cache.borrow_mut();
        let homeless = cache.put_back(parked, ticket);
        let has_surplus = cache.has_surplus();
        drop(cache);
        if let Some(parked) = homeless {
            self.put_in_new_slot(parked);
        }
        if has_surplus {
            self.evict_surplus();
        }
    }

    #[cold]
    #[inline(never)]
    fn put_in_new_slot(&self, parked: Parked) {
        // The memory is measured when the statement enters the cache, not each time it returns to its slot.
        let statement = self.db.unpark(parked);
        let bytes = usize::try_from(statement.memory_bytes()).unwrap_or(0);
        let sql: Box<str> = statement.sql().into();
        let Ok(parked) = statement.park() else {
            return;
        };
        let mut evicted = Vec::new();
        self.cache.borrow_mut().insert(&sql, parked, bytes, &mut evicted);
        self.finalize_evicted(evicted);
    }

    #[cold]
    #[inline(never)]
    fn evict_surplus(&self) {
        let evicted = self.cache.borrow_mut().take_surplus();
        self.finalize_evicted(evicted);
    }

    pub(crate) fn finalize_evicted(&self, evicted: impl IntoIterator<Item = Parked>) {
        for parked in evicted {
            let statement = self.db.unpark(parked);
            shielded(|| {
                let (connection, name) = self.identity();
                let (sql, prepared_at) = (statement.sql(), statement.site());
                tracing::trace!(target: "finalite::cache", sql, connection, name, %prepared_at, "evicted");
            });
            drop(statement);
        }
    }
}

/// Returns an error if the SQL contains a NUL.
fn check_nul(sql: &str, shown: &str) -> Result<()> {
    match sql.find('\0') {
        None => Ok(()),
        Some(nul) => Err(Error::new(ErrorKind::NulInSql).in_sql(shown).at_offset(nul)),
    }
}

/// Returns the expected use of a statement that the program may run again. A pragma works while it is prepared; an
/// `EXPLAIN` shows the program of that time, which SQLite does not replace when the schema changes.
fn reuse(sql: &str) -> Reuse {
    let is_of_its_time = !sql::is_select(sql) && sql::starts_with_one_of(sql, &["PRAGMA", "EXPLAIN"]);
    if is_of_its_time { Reuse::Once } else { Reuse::Cached }
}
