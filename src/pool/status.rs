//! What a pool holds and did.

use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Thread;
use std::time::Duration;

use super::queue::{Queue, QueueStatus};
use super::registry::Entry;
use super::reset::DestroyReason;
use crate::error::Error;
use crate::{Connection, TransactionBehavior};

/// What a connection of a pool is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The one that writes.
    Writer,
    /// One of those that read.
    Reader,
    /// One that somebody keeps.
    Reserved,
}

impl Role {
    pub(super) fn behavior(self) -> TransactionBehavior {
        match self {
            Self::Writer => TransactionBehavior::Immediate,
            Self::Reader | Self::Reserved => TransactionBehavior::Deferred,
        }
    }

    /// `writer`, `reader` or `reserved`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Reserved => "reserved",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A connection that is out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Checkout {
    /// What it is for.
    pub role: Role,
    /// Its place in the pool, among those of its role, 0-based.
    pub slot: usize,
    /// The line of the program that asked for it.
    pub lent_at: &'static Location<'static>,
    /// How long ago.
    pub age: Duration,
    /// The name of the thread that asked for it.
    pub thread_name: Option<Box<str>>,
    /// Whether its guard is an [`OwnedConnection`](super::OwnedConnection).
    pub is_owned: bool,
}

impl fmt::Display for Checkout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} lent at {}, {:.1?} ago", self.role, self.slot, self.lent_at, self.age)
    }
}

pub(super) fn checkouts(queue: &Queue) -> Vec<Checkout> {
    checkouts_of(queue.role(), queue.status())
}

fn checkouts_of(role: Role, status: QueueStatus) -> Vec<Checkout> {
    let checkout = |(slot, lent): (usize, super::queue::Lent)| Checkout {
        role,
        slot,
        lent_at: lent.site,
        age: lent.since.elapsed(),
        thread_name: lent.thread.as_ref().and_then(Thread::name).map(Into::into),
        is_owned: lent.is_owned,
    };
    status.out.into_iter().map(checkout).collect()
}

/// The connections of one role.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RoleStatus {
    /// What they are for.
    pub role: Role,
    /// How many there may be.
    pub size: usize,
    /// How many are there to be lent.
    pub idle: usize,
    /// How many callers wait for one.
    pub waiting: usize,
    /// Those that are out.
    pub checked_out: Vec<Checkout>,
    /// How often one was lent.
    pub acquired_total: u64,
    /// How often somebody waited too long.
    pub timeouts_total: u64,
}

/// What a pool holds and did. From [`Pool::status`](super::Pool::status).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolStatus {
    /// [`PoolBuilder::name`](super::PoolBuilder::name), or the name of the file.
    pub name: Box<str>,
    /// The writer, the readers, the reserved ones.
    pub roles: [RoleStatus; 3],
    /// Connections opened.
    pub opened_total: u64,
    /// Attempts to open one that failed.
    pub open_failures_total: u64,
    /// Connections closed instead of lent again, in the order of [`DestroyReason::ALL`].
    pub destroyed_total: [u64; DestroyReason::ALL.len()],
}

impl PoolStatus {
    pub(super) fn new(Entry { name, queues, counters }: &Entry) -> Self {
        Self {
            name: name.clone(),
            roles: queues.each_ref().map(|queue| {
                let status = queue.status();
                RoleStatus {
                    role: queue.role(),
                    size: queue.size(),
                    idle: status.idle,
                    waiting: status.waiting,
                    acquired_total: status.acquired,
                    timeouts_total: status.timeouts,
                    checked_out: checkouts_of(queue.role(), status),
                }
            }),
            opened_total: counters.opened.load(Ordering::Relaxed),
            open_failures_total: counters.open_failures.load(Ordering::Relaxed),
            destroyed_total: std::array::from_fn(|reason| counters.destroyed[reason].load(Ordering::Relaxed)),
        }
    }

    /// The connections of a role.
    #[must_use]
    pub fn role(&self, role: Role) -> &RoleStatus {
        match role {
            Role::Writer => &self.roles[0],
            Role::Reader => &self.roles[1],
            Role::Reserved => &self.roles[2],
        }
    }

    /// How many connections were destroyed for this reason.
    #[must_use]
    pub fn destroyed(&self, reason: DestroyReason) -> u64 {
        self.destroyed_total[reason as usize]
    }
}

impl fmt::Display for PoolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for role in &self.roles {
            write!(f, "{} {}/{} out, {} waiting; ", role.role, role.checked_out.len(), role.size, role.waiting)?;
        }
        write!(f, "{} opened, {} destroyed", self.opened_total, self.destroyed_total.iter().sum::<u64>())
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    opened: AtomicU64,
    open_failures: AtomicU64,
    destroyed: [AtomicU64; DestroyReason::ALL.len()],
}

impl Counters {
    pub(super) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn open_failed(&self) {
        self.open_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn destroyed(&self, reason: DestroyReason) {
        self.destroyed[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// How a pool ended. From [`Pool::close`](super::Pool::close).
#[derive(Debug, Default)]
#[must_use = "it tells what was out"]
pub struct PoolReport {
    closed: usize,
    /// Of whom the last one was.
    last_closed: Option<Role>,
    pub(super) log_left: Option<Error>,
    checked_out: Vec<Checkout>,
    failures: Vec<Error>,
}

impl PoolReport {
    pub(super) fn close(&mut self, conn: Connection) {
        self.closed += 1;
        if let Err(error) = conn.close() {
            self.failures.push(error);
        }
    }

    pub(super) fn close_in(&mut self, role: Role, conn: Connection) {
        self.close(conn);
        self.last_closed = Some(role);
    }

    pub(super) fn has_closed_readers_last(&self) -> bool {
        self.last_closed == Some(Role::Reader)
    }

    pub(super) fn add_checkouts(&mut self, checkouts: Vec<Checkout>) {
        self.checked_out.extend(checkouts);
    }

    /// Whether nothing was out, everything could be closed, and no write-ahead log had to be left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.checked_out.is_empty() && self.failures.is_empty() && self.log_left.is_none()
    }

    /// How many connections were closed.
    #[must_use]
    pub fn closed(&self) -> usize {
        self.closed
    }

    /// What was out. Where that was not owned, its guard was forgotten, and [`Pool::close`](super::Pool::close) has
    /// taken the connection back and closed it.
    #[must_use]
    pub fn checked_out(&self) -> &[Checkout] {
        &self.checked_out
    }

    /// What closing returned, where it failed.
    #[must_use]
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }

    /// Why the write-ahead log may have stayed beside the database, with what was written last in it: only readers were
    /// left to be closed, which may not write, and the database could not be opened once more for writing. Not told:
    /// that others have the database open, and the log with it.
    #[must_use]
    pub fn log_left(&self) -> Option<&Error> {
        self.log_left.as_ref()
    }
}

impl fmt::Display for PoolReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections closed", self.closed)?;
        for checkout in &self.checked_out {
            write!(f, "\n  out: {checkout}")?;
        }
        for error in &self.failures {
            write!(f, "\n  not closed: {error}")?;
        }
        if let Some(error) = &self.log_left {
            write!(f, "\n  the write-ahead log stays beside the database: {error}")?;
        }
        Ok(())
    }
}
