//! State and counters of a pool.

use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::queue::{Queue, QueueStatus};
use super::registry::Entry;
use super::reset::DestroyReason;
use crate::error::Error;
use crate::{Connection, TransactionBehavior};

/// Purpose of a connection of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The connection for writing.
    Writer,
    /// A connection for reading.
    Reader,
    /// A connection from [`Pool::reserve`](super::Pool::reserve).
    Reserved,
}

impl Role {
    pub(super) fn behavior(self) -> TransactionBehavior {
        match self {
            Self::Writer => TransactionBehavior::Immediate,
            Self::Reader | Self::Reserved => TransactionBehavior::Deferred,
        }
    }

    /// Name of the role: `writer`, `reader` or `reserved`.
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

/// A connection that is checked out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Checkout {
    /// Role of the connection.
    pub role: Role,
    /// Slot of the connection among those of its role, 0-based.
    pub slot: usize,
    /// Source location of the call that checked the connection out.
    pub lent_at: &'static Location<'static>,
    /// Time since the connection was checked out.
    pub age: Duration,
    /// Name of the thread that checked the connection out.
    pub thread_name: Option<Box<str>>,
    /// Whether the guard is an [`OwnedConnection`](super::OwnedConnection).
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

/// State of the connections of one role.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RoleStatus {
    /// Role of the connections.
    pub role: Role,
    /// Maximum number of connections.
    pub size: usize,
    /// Number of idle slots.
    pub idle: usize,
    /// Number of waiting callers.
    pub waiting: usize,
    /// Connections that are checked out.
    pub checked_out: Vec<Checkout>,
    /// Number of times a connection was checked out.
    pub acquired_total: u64,
    /// Number of times a caller's wait for a connection timed out.
    pub timeouts_total: u64,
    /// Number of times a caller waited for a connection, timeouts included.
    pub waits_total: u64,
    /// Sum of these waits.
    pub wait_total: Duration,
}

/// Result of a checkpoint that a [`Checkpointer`](super::Checkpointer) ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointStatus {
    /// Time since the checkpoint ended.
    pub age: Duration,
    /// Duration of the checkpoint.
    pub took: Duration,
    /// Number of frames in the write-ahead log; 0 if the database has none.
    pub frames: u64,
    /// Number of these frames that are copied to the database. Others are still read by a connection, or were written
    /// during the checkpoint.
    pub checkpointed: u64,
}

/// State and counters of a pool. From [`Pool::status`](super::Pool::status).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolStatus {
    /// [`PoolBuilder::name`](super::PoolBuilder::name), or the name of the file.
    pub name: Box<str>,
    /// State of the writer, the readers, and the reserved connections.
    pub roles: [RoleStatus; 3],
    /// Number of connections opened.
    pub opened_total: u64,
    /// Number of failed attempts to open a connection.
    pub open_failures_total: u64,
    /// Last checkpoint run by a [`Checkpointer`](super::Checkpointer).
    pub checkpoint: Option<CheckpointStatus>,
    /// Number of these checkpoints.
    pub checkpoints_total: u64,
    /// Number of turns of a [`Checkpointer`](super::Checkpointer) that were skipped, because the writer was checked
    /// out.
    pub checkpoints_skipped_total: u64,
    /// Number of failed checkpoints.
    pub checkpoints_failed_total: u64,
    /// Number of connections closed instead of reused, in the order of [`DestroyReason::ALL`].
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
                    waits_total: status.waits,
                    wait_total: status.waited,
                    checked_out: checkouts_of(queue.role(), status),
                }
            }),
            opened_total: counters.opened.load(Ordering::Relaxed),
            open_failures_total: counters.open_failures.load(Ordering::Relaxed),
            checkpoint: counters.checkpoint.last(),
            checkpoints_total: counters.checkpoint.done.load(Ordering::Relaxed),
            checkpoints_skipped_total: counters.checkpoint.skipped.load(Ordering::Relaxed),
            checkpoints_failed_total: counters.checkpoint.failed.load(Ordering::Relaxed),
            destroyed_total: std::array::from_fn(|reason| counters.destroyed[reason].load(Ordering::Relaxed)),
        }
    }

    /// State of the connections of a role.
    #[must_use]
    pub fn role(&self, role: Role) -> &RoleStatus {
        match role {
            Role::Writer => &self.roles[0],
            Role::Reader => &self.roles[1],
            Role::Reserved => &self.roles[2],
        }
    }

    /// Number of connections destroyed for this reason.
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
    pub(super) checkpoint: Checkpoints,
}

/// Checkpoints of a `Checkpointer`, and the last of them. There is no lock, which a forked child could find held.
#[derive(Debug)]
pub(super) struct Checkpoints {
    start: Instant,
    /// Time of the last one in nanoseconds after `start`, plus one; 0: none yet.
    at: AtomicU64,
    took: AtomicU64,
    frames: AtomicU64,
    checkpointed: AtomicU64,
    done: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            at: AtomicU64::default(),
            took: AtomicU64::default(),
            frames: AtomicU64::default(),
            checkpointed: AtomicU64::default(),
            done: AtomicU64::default(),
            skipped: AtomicU64::default(),
            failed: AtomicU64::default(),
        }
    }
}

impl Checkpoints {
    pub(super) fn add(&self, took: Duration, frames: u64, checkpointed: u64) {
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1);
        self.took.store(nanoseconds(took), Ordering::Relaxed);
        self.frames.store(frames, Ordering::Relaxed);
        self.checkpointed.store(checkpointed, Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Relaxed);
        self.at.store(nanoseconds(self.start.elapsed()) + 1, Ordering::Release);
    }

    fn last(&self) -> Option<CheckpointStatus> {
        let at = self.at.load(Ordering::Acquire).checked_sub(1)?;
        Some(CheckpointStatus {
            age: self.start.elapsed().saturating_sub(Duration::from_nanos(at)),
            took: Duration::from_nanos(self.took.load(Ordering::Relaxed)),
            frames: self.frames.load(Ordering::Relaxed),
            checkpointed: self.checkpointed.load(Ordering::Relaxed),
        })
    }
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

/// Result of closing a pool. From [`Pool::close`](super::Pool::close) and [`Pool::shut_down`](super::Pool::shut_down).
#[derive(Debug, Default)]
#[must_use = "the report lists what was checked out"]
pub struct PoolReport {
    closed: usize,
    /// Role of the last connection that was closed.
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

    /// Whether no connection was checked out, all could be closed, and no write-ahead log was left because of an error.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.checked_out.is_empty() && self.failures.is_empty() && self.log_left.is_none()
    }

    /// Number of connections closed.
    #[must_use]
    pub fn closed(&self) -> usize {
        self.closed
    }

    /// Connections that were checked out. In a report of [`Pool::close`](super::Pool::close), their guards were
    /// forgotten, and the connections have been closed. In a report of [`Pool::shut_down`](super::Pool::shut_down),
    /// they are closed when they are returned.
    #[must_use]
    pub fn checked_out(&self) -> &[Checkout] {
        &self.checked_out
    }

    /// Errors of closing connections.
    #[must_use]
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }

    /// Error because of which the write-ahead log may remain beside the database, with the last writes in it: only
    /// readers were left to be closed, which cannot write, and opening the database for writing failed. A log that
    /// remains because other connections have the database open is not reported.
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
            write!(f, "\n  the write-ahead log remains beside the database: {error}")?;
        }
        Ok(())
    }
}
