//! Lending of connections: opening, taking back, destroying.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::guard::Permit;
use super::profile::Profile;
use super::queue::{Queue, Refused, WaitLimit};
use super::{DestroyReason, OwnedConnection, Pool, PooledConnection, ReturnPolicy, Role, RoleSlots};
use super::{reset, status};
use crate::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::track::shielded;

impl RoleSlots {
    /// Returns the error of a caller that has waited too long, with who has the connections.
    pub(super) fn timed_out(&self, waited: Duration) -> Error {
        let checked_out = status::checkouts(&self.queue).iter().map(|checkout| checkout.to_string().into()).collect();
        Error::new(ErrorKind::PoolTimeout { role: self.queue.role().name(), waited, checked_out })
    }
}

impl Pool {
    pub(super) fn wait_limit(&self) -> WaitLimit<'static> {
        WaitLimit::For(self.options.acquire_timeout)
    }

    pub(super) fn permit<'pool>(
        &'pool self,
        role_slots: &'pool RoleSlots,
        wait_limit: WaitLimit<'_>,
        site: &'static Location<'static>,
        is_owned: bool,
    ) -> Result<(Permit<'pool>, Instant)> {
        if role_slots.slots.is_empty() {
            let reason = "the pool has no such connections: `PoolBuilder::readers` and `reserved` set their number";
            return Err(Error::new(ErrorKind::Misuse { reason }));
        }
        match role_slots.queue.acquire(wait_limit, site, is_owned) {
            Ok((slot, now)) => Ok((Permit::new(self, role_slots, slot), now)),
            Err(Refused::Closed) => Err(Error::new(ErrorKind::PoolClosed)),
            Err(Refused::Forked) => Err(Error::new(ErrorKind::Forked)),
            Err(Refused::TimedOut { waited }) => Err(role_slots.timed_out(waited)),
            Err(Refused::GivenUp) => Err(Error::new(ErrorKind::Interrupted)),
        }
    }

    pub(super) fn lend<'pool>(
        &'pool self,
        role_slots: &'pool RoleSlots,
        wait_limit: WaitLimit<'_>,
        site: &'static Location<'static>,
    ) -> Result<PooledConnection<'pool>> {
        let (permit, now) = self.permit(role_slots, wait_limit, site, false)?;
        let mut slot = role_slots.slots[permit.slot].lock();
        self.destroy_if_moved(&mut slot, now);
        if slot.is_none() {
            *slot = Some(self.open(role_slots, permit.slot, site)?);
        }
        if let Some(conn) = &*slot {
            self.hub.sync(conn, role_slots.queue.role())?;
        }
        Ok(PooledConnection::new(slot, permit))
    }

    /// Checks out a connection like [`reader`](Self::reader) or [`writer`](Self::writer), for a call that began at this
    /// moment, unless the flag is set or the deadline passes before.
    pub(crate) fn lend_within<'pool>(
        &'pool self,
        role: Role,
        since: Instant,
        cancelled: &AtomicBool,
        deadline: Option<(Instant, Duration)>,
        site: &'static Location<'static>,
    ) -> Result<PooledConnection<'pool>> {
        let timeout = self.options.acquire_timeout.saturating_sub(since.elapsed());
        let until_deadline = deadline.map(|(at, allowed)| (at.saturating_duration_since(Instant::now()), allowed));
        let (longest, allowed) = match until_deadline {
            Some((left, allowed)) if left < timeout => (left, Some(allowed)),
            _ => (timeout, None),
        };
        let gives_up = || cancelled.load(Ordering::Acquire);
        let lent = self.lend(self.of_role(role), WaitLimit::Unless { longest, gives_up: &gives_up }, site);
        match (lent, allowed) {
            (Err(error), Some(allowed)) if matches!(error.kind(), ErrorKind::PoolTimeout { .. }) => {
                Err(Error::new(ErrorKind::Deadline { allowed }))
            }
            (lent, _) => lent,
        }
    }

    /// Checks out a connection if one is free that is open.
    pub(crate) fn lend_at_once(&self, role: Role, site: &'static Location<'static>) -> Option<PooledConnection<'_>> {
        let role_slots = self.of_role(role);
        let (permit, now) = self.permit(role_slots, WaitLimit::None, site, false).ok()?;
        let mut slot = role_slots.slots[permit.slot].lock();
        self.destroy_if_moved(&mut slot, now);
        self.hub.sync(slot.as_ref()?, role).ok()?;
        Some(PooledConnection::new(slot, permit))
    }

    pub(super) fn lend_owned(
        self: &Arc<Self>,
        role_slots: fn(&Self) -> &RoleSlots,
        site: &'static Location<'static>,
    ) -> Result<OwnedConnection> {
        let (permit, now) = self.permit(role_slots(self), self.wait_limit(), site, true)?;
        let mut conn = role_slots(self).slots[permit.slot].lock().take();
        self.destroy_if_moved(&mut conn, now);
        let conn = match conn {
            Some(conn) => conn,
            None => self.open(role_slots(self), permit.slot, site)?,
        };
        if let Err(error) = self.hub.sync(&conn, role_slots(self).queue.role()) {
            *role_slots(self).slots[permit.slot].lock() = Some(conn);
            return Err(error);
        }
        let slot = permit.keep();
        Ok(OwnedConnection::new(Arc::clone(self), role_slots, slot, conn))
    }

    /// Opens a connection for a slot.
    pub(super) fn open(
        &self,
        role_slots: &RoleSlots,
        slot: usize,
        site: &'static Location<'static>,
    ) -> Result<Connection> {
        if role_slots.queue.is_closed() {
            return Err(Error::new(ErrorKind::PoolClosed));
        }
        let role = role_slots.queue.role();
        let conn = self.attempt(&role_slots.queue, || {
            // A database file that has been deleted is not created again.
            let creates = role == Role::Writer && role_slots.profile.get().is_none();
            let conn = self.options.open(role, slot, creates, site)?;
            if role_slots.profile.get().is_none() {
                let _ = role_slots.profile.set(Profile::of(&conn)?);
            }
            conn.db().take_taint();
            conn.set_moved_check(Instant::now().checked_add(self.options.moved_check));
            Ok(conn)
        })?;
        if role_slots.queue.is_closed() {
            return Err(Error::new(ErrorKind::PoolClosed));
        }
        Ok(conn)
    }

    /// Opens a connection, with retries by the caller's policy. A failed attempt leaves nothing open.
    pub(super) fn attempt(&self, queue: &Queue, open: impl Fn() -> Result<Connection>) -> Result<Connection> {
        let mut attempts = Vec::new();
        let mut pauses = self.options.open_retry.pauses();
        loop {
            match open() {
                Ok(conn) => {
                    self.counters().opened();
                    return Ok(conn);
                }
                // The next attempt would fail too.
                Err(error) if matches!(error.kind(), ErrorKind::Path { .. } | ErrorKind::Forked) => {
                    self.counters().open_failed();
                    return Err(error);
                }
                Err(error) => attempts.push(error),
            }
            self.counters().open_failed();
            match pauses.next() {
                Some(pause) if !queue.is_closed() => std::thread::sleep(pause),
                _ => {
                    // Out of memory is reported as such, as in all other calls.
                    let no_memory = attempts.pop_if(|last| matches!(last.kind(), ErrorKind::NoMemory { .. }));
                    return Err(
                        no_memory.unwrap_or_else(|| Error::new(ErrorKind::OpenAttempts { attempts: attempts.into() }))
                    );
                }
            }
        }
    }

    /// Checks a returned connection, and closes it unless its state is that of a new one.
    pub(super) fn take_back(&self, role_slots: &RoleSlots, conn: &mut Option<Connection>) {
        let unchecked = Unchecked { pool: self, conn };
        let Some(borrowed) = unchecked.conn.as_mut() else {
            return;
        };
        let verdict = if role_slots.queue.is_closed() {
            Err(DestroyReason::PoolClosed)
        } else {
            reset::check(borrowed, role_slots.queue.role(), self.options.policy, role_slots.profile.get())
        };
        let Err(reason) = verdict else {
            borrowed.db().publish_if_changed();
            if self.options.moved_check.is_zero() {
                self.check_moved(unchecked.conn, Instant::now());
            }
            return;
        };
        self.destroy(unchecked.conn, reason);
        if self.options.policy == ReturnPolicy::Panic && reason.is_change() && !std::thread::panicking() {
            panic!("a connection was returned to its pool changed: {reason}");
        }
    }

    /// Closes a connection whose file was moved or deleted: writes to that file are lost to all who open it by its
    /// path. The check is a system call, and is made at the builder's interval.
    #[inline]
    pub(super) fn destroy_if_moved(&self, conn: &mut Option<Connection>, now: Instant) {
        if conn.as_ref().is_some_and(|conn| conn.moved_check().is_some_and(|due| now >= due)) {
            self.check_moved(conn, now);
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn check_moved(&self, conn: &mut Option<Connection>, now: Instant) {
        let has_moved = |conn: &Connection| {
            conn.set_moved_check(now.checked_add(self.options.moved_check));
            conn.has_moved().unwrap_or(false)
        };
        if conn.as_ref().is_some_and(has_moved) {
            self.destroy(conn, DestroyReason::Moved);
        }
    }

    /// Closes a connection. All connections are closed here, except at the end of the pool. No lock of the queue is
    /// held, since closing may take long.
    pub(super) fn destroy(&self, conn: &mut Option<Connection>, reason: DestroyReason) {
        self.counters().destroyed(reason);
        if reason.is_news() {
            shielded(|| {
                tracing::warn!(target: "finalite::pool", %reason, "a returned connection is closed, not reused");
            });
        }
        drop(conn.take());
    }
}

/// Guard for the check of a returned connection, which runs SQL. If the check panics (in a listener to events), what it
/// has proven is not known, and the connection is closed.
pub(super) struct Unchecked<'a> {
    pub(super) pool: &'a Pool,
    pub(super) conn: &'a mut Option<Connection>,
}

impl Drop for Unchecked<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && self.conn.is_some() {
            self.pool.destroy(self.conn, DestroyReason::Panicked);
        }
    }
}
