//! Threads that read ranges, each by a connection of its own.
//!
//! A range belongs to the thread that takes it next, so that a thread with expensive rows takes fewer. An error or a
//! panic on one thread interrupts the connections of all.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::ranges::{Ranged, RowidRange};
use super::readers;
use crate::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::interrupt::Interrupter;
use crate::statement::Statement;
use crate::statement::params::Params;
use crate::track::discard;
use crate::worker;

/// A statement, and the ranges in which it is read.
pub(super) struct Work<'w, P, F> {
    pub(super) sql: &'w str,
    pub(super) params: &'w P,
    pub(super) ranges: &'w [RowidRange],
    /// Reads a range.
    pub(super) read: &'w F,
    pub(super) site: &'static Location<'static>,
}

/// State of the threads.
struct Shared<E> {
    /// Index of the range that is taken next.
    next: AtomicUsize,
    readers: Vec<Arc<Interrupter>>,
    /// The first failure.
    failure: Mutex<Option<Failure<E>>>,
}

enum Failure<E> {
    Error(E),
    Panic(Box<dyn Any + Send>),
}

/// Reads the ranges by these connections, and closes them. Returns the number of threads and the results, in the order
/// of the ranges. The calling thread is one of the threads.
pub(super) fn run<'p, P, O, E, F>(
    conn: &Connection,
    readers: Vec<Connection>,
    work: &Work<'_, P, F>,
) -> (usize, Result<Vec<O>, E>)
where
    P: Params<'p> + Clone + Sync,
    O: Send,
    E: From<Error> + Send,
    F: Fn(&mut Statement<'_>, Ranged<P>) -> Result<O, E> + Sync,
{
    let interrupters: Vec<_> = readers.iter().map(|reader| reader.db().interrupter()).collect();
    let leading = conn.db().interrupter().lead(interrupters.clone());
    let shared = Shared { next: AtomicUsize::new(0), readers: interrupters, failure: Mutex::new(None) };
    let mut readers = readers.into_iter().enumerate();
    let own = readers.next();
    let mut threads = 1;
    let mut results = thread::scope(|scope| {
        let start = |(number, reader)| {
            let shared = &shared;
            // A reader whose thread is not started is closed here, and the others read its ranges.
            worker::start_scoped(scope, "finalite partition", move || shared.read(number, reader, work)).ok()
        };
        let started: Vec<_> = readers.map_while(start).collect();
        threads += started.len();
        let mut results = own.map(|(number, reader)| shared.read(number, reader, work)).unwrap_or_default();
        for thread in started {
            match thread.join() {
                Ok(more) => results.extend(more),
                Err(payload) => shared.fail(Failure::Panic(payload)),
            }
        }
        results
    });
    drop(leading);
    let failure = shared.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    let result = match failure {
        Some(Failure::Panic(payload)) => panic::resume_unwind(payload),
        Some(Failure::Error(error)) => Err(error),
        None => {
            results.sort_by_key(|&(number, _)| number);
            Ok(results.into_iter().map(|(_, result)| result).collect())
        }
    };
    (threads, result)
}

impl<E: From<Error>> Shared<E> {
    /// Reads ranges until there are no more, and closes the connection. Returns the results with the numbers of the
    /// ranges.
    fn read<'p, P, O, F>(&self, number: usize, reader: Connection, work: &Work<'_, P, F>) -> Vec<(usize, O)>
    where
        P: Params<'p> + Clone,
        F: Fn(&mut Statement<'_>, Ranged<P>) -> Result<O, E>,
    {
        let result = panic::catch_unwind(AssertUnwindSafe(|| self.read_ranges(number, &reader, work)));
        let results = match result {
            Ok(Ok(results)) => results,
            Ok(Err(error)) => {
                self.fail(Failure::Error(error));
                Vec::new()
            }
            Err(payload) => {
                self.fail(Failure::Panic(payload));
                Vec::new()
            }
        };
        readers::close(reader);
        results
    }

    fn read_ranges<'p, P, O, F>(
        &self,
        number: usize,
        reader: &Connection,
        work: &Work<'_, P, F>,
    ) -> Result<Vec<(usize, O)>, E>
    where
        P: Params<'p> + Clone,
        F: Fn(&mut Statement<'_>, Ranged<P>) -> Result<O, E>,
    {
        // SQLite forgets an interrupt when no statement is running, so one runs to the end.
        let mut anchor = reader.prepare_cached_at("SELECT 1 FROM main.sqlite_schema", work.site)?;
        let mut anchor = anchor.query(())?;
        anchor.next()?;
        if self.readers[number].was_interrupted() {
            return Err(Error::new(ErrorKind::Interrupted).in_sql(work.sql).into());
        }
        let mut statement = reader.prepare_cached_at(work.sql, work.site)?;
        let mut results = Vec::new();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&range) = work.ranges.get(index) else {
                return Ok(results);
            };
            let params = Ranged { params: work.params.clone(), range: Some(range) };
            results.push((index, (work.read)(&mut statement, params)?));
        }
    }

    /// Keeps the first failure, and ends the other threads.
    fn fail(&self, failure: Failure<E>) {
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            *first = Some(failure);
            drop(first);
            self.readers.iter().for_each(|reader| _ = reader.interrupt());
        } else {
            drop(first);
            if let Failure::Panic(payload) = failure {
                discard(payload);
            }
        }
    }
}
