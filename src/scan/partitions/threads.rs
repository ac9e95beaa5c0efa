//! Threads that read ranges, each by a connection of its own.
//!
//! A range belongs to the thread that takes it next, so that a thread with expensive rows takes fewer. An error or a
//! panic on one thread interrupts the connections of all.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::RangeSource;
use super::ranges::{Ranged, RowidRange};
use super::readers::{self, PartitionReader};
use crate::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::interrupt::Interrupter;
use crate::scan::{ScanPlan, ScanStrategy};
use crate::statement::Statement;
use crate::statement::params::Params;
use crate::track::discard;
use crate::value::Value;
use crate::worker;

/// A statement, and the ranges in which it is read.
pub(super) struct Work<'w, P, F> {
    pub(super) sql: &'w str,
    pub(super) params: &'w P,
    pub(super) ranges: &'w [RowidRange],
    /// Reads a range.
    pub(super) read: &'w F,
    /// Values of the parameters other than the bounds, if ranges may be read from pages.
    pub(super) known: Option<&'w [Value]>,
    pub(super) site: &'static Location<'static>,
}

/// State of the threads. It has no lock: in a child process that a closure forks, that could be held for ever.
struct Shared {
    /// Index of the range that is taken next.
    next: AtomicUsize,
    /// Whether the statement has read rows of a range.
    is_left: AtomicBool,
    /// Number of failures.
    failures: AtomicUsize,
    readers: Vec<Arc<Interrupter>>,
}

/// Results of a thread with the numbers of their ranges, or its failure.
type Outcome<O, E> = std::result::Result<Vec<(usize, O)>, Failure<E>>;

struct Failure<E> {
    /// Number of failures before this one.
    number: usize,
    cause: Cause<E>,
}

enum Cause<E> {
    Error(E),
    Panic(Box<dyn Any + Send>),
}

/// Reads the ranges by these connections, and closes them. Returns the plan and the results, in the order of the ranges.
/// The calling thread is one of the threads.
pub(super) fn run<'p, P, O, E, F>(
    conn: &Connection,
    readers: Vec<PartitionReader>,
    work: &Work<'_, P, F>,
) -> (ScanPlan, Result<Vec<O>, E>)
where
    P: Params<'p> + Clone + Sync,
    O: Send,
    E: From<Error> + Send,
    F: Fn(&RangeSource<'_>, &mut Statement<'_>, Ranged<P>) -> Result<O, E> + Sync,
{
    let interrupters: Vec<_> = readers.iter().map(|reader| reader.conn.db().interrupter()).collect();
    let leading = conn.db().interrupter().lead(interrupters.clone());
    let shared = &Shared {
        next: AtomicUsize::new(0),
        is_left: AtomicBool::new(false),
        failures: AtomicUsize::new(0),
        readers: interrupters,
    };
    let mut reads = readers.into_iter().enumerate().map(|(number, reader)| move || shared.read(number, reader, work));
    let Some(own) = reads.next() else {
        return (ScanPlan::by_ranges(0, ScanStrategy::Statement), Ok(Vec::new()));
    };
    // A reader whose thread is not started is closed, and the others read its ranges.
    let (own, others) = worker::run_beside("finalite partition", reads, own);
    drop(leading);
    let threads = 1 + others.len();
    let panicked = |payload| Err(shared.fail(Cause::Panic(payload)));
    let outcomes = others.into_iter().map(|outcome| outcome.unwrap_or_else(panicked));
    let (mut results, mut first) = (Vec::new(), None::<Failure<E>>);
    for outcome in std::iter::once(own).chain(outcomes) {
        let later = match (outcome, &first) {
            (Ok(more), _) => {
                results.extend(more);
                continue;
            }
            (Err(failure), Some(before)) if before.number < failure.number => failure,
            (Err(failure), _) => match first.replace(failure) {
                Some(later) => later,
                None => continue,
            },
        };
        if let Cause::Panic(payload) = later.cause {
            discard(payload);
        }
    }
    let result = match first.map(|failure| failure.cause) {
        Some(Cause::Panic(payload)) => panic::resume_unwind(payload),
        Some(Cause::Error(error)) => Err(error),
        None => {
            results.sort_by_key(|&(number, _)| number);
            Ok(results.into_iter().map(|(_, result)| result).collect())
        }
    };
    let is_by_pages = !shared.is_left.load(Ordering::Relaxed);
    let strategy = if is_by_pages { ScanStrategy::Pages } else { ScanStrategy::Statement };
    (ScanPlan::by_ranges(threads, strategy), result)
}

impl Shared {
    /// Reads ranges until there are no more, and closes the connection.
    fn read<'p, P, O, E, F>(&self, number: usize, reader: PartitionReader, work: &Work<'_, P, F>) -> Outcome<O, E>
    where
        P: Params<'p> + Clone,
        E: From<Error>,
        F: Fn(&RangeSource<'_>, &mut Statement<'_>, Ranged<P>) -> Result<O, E>,
    {
        let result = panic::catch_unwind(AssertUnwindSafe(|| self.read_ranges(number, &reader, work)));
        let outcome = match result {
            Ok(Ok(results)) => Ok(results),
            Ok(Err(error)) => Err(self.fail(Cause::Error(error))),
            Err(payload) => Err(self.fail(Cause::Panic(payload))),
        };
        readers::close(reader);
        outcome
    }

    fn read_ranges<'p, P, O, E, F>(
        &self,
        number: usize,
        PartitionReader { conn: reader, view }: &PartitionReader,
        work: &Work<'_, P, F>,
    ) -> Result<Vec<(usize, O)>, E>
    where
        P: Params<'p> + Clone,
        E: From<Error>,
        F: Fn(&RangeSource<'_>, &mut Statement<'_>, Ranged<P>) -> Result<O, E>,
    {
        // SQLite forgets an interrupt when no statement is running, so one runs to the end.
        let mut anchor = reader.prepare_cached_at("SELECT 1 FROM main.sqlite_schema", work.site)?;
        let mut anchor = anchor.query(())?;
        anchor.next()?;
        if self.readers[number].was_interrupted() {
            return Err(Error::new(ErrorKind::Interrupted).in_sql(work.sql).into());
        }
        let mut statement = reader.prepare_cached_at(work.sql, work.site)?;
        let pages = view.zip(work.known);
        let source = RangeSource { conn: reader, pages, is_left: &self.is_left };
        let mut results = Vec::new();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&range) = work.ranges.get(index) else {
                return Ok(results);
            };
            let params = Ranged { params: work.params.clone(), range: Some(range) };
            results.push((index, (work.read)(&source, &mut statement, params)?));
        }
    }

    /// Numbers a failure, and ends the other threads.
    fn fail<E>(&self, cause: Cause<E>) -> Failure<E> {
        let number = self.failures.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            self.readers.iter().for_each(|reader| _ = reader.interrupt());
        }
        Failure { number, cause }
    }
}
