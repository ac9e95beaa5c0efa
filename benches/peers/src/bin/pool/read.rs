//! Threads that read, each with a connection that it is lent for one query.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use finalite_peers::Result;
use finalite_peers::sample::LOOKUP;
use finalite_peers::task::bytes;

use crate::measure::{Done, Fairness, Peer};
use crate::peers::{Opener, Pools, finalite_alone};

/// How many rows a range has.
pub const RANGE_ROWS: u64 = 20;
const RANGE: &str = "SELECT s1, i1 FROM t WHERE id BETWEEN ?1 AND ?1 + 19";

/// One query by both drivers, with its statement out of their caches.
#[derive(Clone, Copy)]
pub struct Query {
    pub name: &'static str,
    finalite: fn(&finalite::Connection, i64) -> finalite::Result<u64>,
    rusqlite: fn(&rusqlite::Connection, i64) -> rusqlite::Result<u64>,
}

pub const QUERIES: [Query; 2] = [
    Query { name: "lookup", finalite: finalite_lookup, rusqlite: rusqlite_lookup },
    Query { name: "range", finalite: finalite_range, rusqlite: rusqlite_range },
];

fn finalite_lookup(conn: &finalite::Connection, key: i64) -> finalite::Result<u64> {
    let (text, integer): (String, i64) = conn.query_one(LOOKUP, (key,))?;
    Ok(bytes(text.as_bytes()).wrapping_add(integer.cast_unsigned()))
}

fn rusqlite_lookup(conn: &rusqlite::Connection, key: i64) -> rusqlite::Result<u64> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let (text, integer): (String, i64) = conn.prepare_cached(LOOKUP)?.query_row((key,), read)?;
    Ok(bytes(text.as_bytes()).wrapping_add(integer.cast_unsigned()))
}

fn finalite_range(conn: &finalite::Connection, key: i64) -> finalite::Result<u64> {
    let mut statement = conn.prepare_cached(RANGE)?;
    let mut rows = statement.query((key,))?;
    let mut sum = 0_u64;
    while let Some(row) = rows.next()? {
        sum = sum.wrapping_add(bytes(row.get::<&str>(0)?.as_bytes()));
        sum = sum.wrapping_add(row.get::<i64>(1)?.cast_unsigned());
    }
    rows.finish()?;
    Ok(sum)
}

fn rusqlite_range(conn: &rusqlite::Connection, key: i64) -> rusqlite::Result<u64> {
    let mut statement = conn.prepare_cached(RANGE)?;
    let mut rows = statement.query((key,))?;
    let mut sum = 0_u64;
    while let Some(row) = rows.next()? {
        sum = sum.wrapping_add(bytes(row.get_ref(0)?.as_str()?.as_bytes()));
        sum = sum.wrapping_add(row.get::<_, i64>(1)?.cast_unsigned());
    }
    Ok(sum)
}

pub fn peers<'a>(pools: &'a Pools, path: &'a Path, query: Query, threads: usize, keys: &'a [i64]) -> Vec<Peer<'a>> {
    let finalite = move || {
        in_threads(threads, keys, || {
            Ok(move |key| {
                let begin = Instant::now();
                let conn = pools.finalite.reader()?;
                let waited = begin.elapsed();
                Ok((waited, (query.finalite)(&conn, key)?))
            })
        })
    };
    let r2d2 = move |pool: &'a r2d2::Pool<Opener>| {
        in_threads(threads, keys, || {
            Ok(move |key| {
                let begin = Instant::now();
                let conn = pool.get()?;
                let waited = begin.elapsed();
                Ok((waited, (query.rusqlite)(&conn, key)?))
            })
        })
    };
    let no_pool = move || {
        in_threads(threads, keys, || {
            let conn = finalite_alone(path)?;
            Ok(move |key| Ok((Duration::ZERO, (query.finalite)(&conn, key)?)))
        })
    };
    vec![
        Peer::new("finalite", move |_| finalite()),
        Peer::new("finalite again", move |_| finalite()),
        Peer::new("r2d2", move |_| r2d2(&pools.r2d2)),
        Peer::new("r2d2 unchecked", move |_| r2d2(&pools.r2d2_unchecked)),
        Peer::new("no pool", move |_| no_pool()),
    ]
}

/// What one thread did.
struct Thread {
    begin: Instant,
    end: Instant,
    operations: u64,
    longest: Duration,
    checksum: u64,
}

/// Threads take one key after the other until there are none, so all of them work until the end, and whoever gets its
/// connections sooner does more. `reader` makes what each thread reads with: how long it waited, and the checksum.
fn in_threads<R: FnMut(i64) -> Result<(Duration, u64)>>(
    threads: usize,
    keys: &[i64],
    reader: impl Fn() -> Result<R> + Sync,
) -> Result<Done> {
    let next = AtomicUsize::new(0);
    let barrier = Barrier::new(threads);
    let one = || -> Result<Thread> {
        let mut read = reader()?;
        barrier.wait();
        let begin = Instant::now();
        let mut thread = Thread { begin, end: begin, operations: 0, longest: Duration::ZERO, checksum: 0 };
        while let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (waited, checksum) = read(*key)?;
            thread.operations += 1;
            thread.longest = thread.longest.max(waited);
            thread.checksum = thread.checksum.wrapping_add(checksum);
        }
        thread.end = Instant::now();
        Ok(thread)
    };
    let or_exit = || {
        one().unwrap_or_else(|error| {
            // The other threads may be waiting for this one.
            eprintln!("{error}");
            std::process::exit(1)
        })
    };
    let done = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(or_exit)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")).collect::<Result<Vec<_>, _>>()
    })?;
    let begin = done.iter().map(|thread| thread.begin).min().ok_or("no thread")?;
    let end = done.iter().map(|thread| thread.end).max().ok_or("no thread")?;
    let operations = || done.iter().map(|thread| thread.operations);
    Ok(Done {
        nanoseconds: (end - begin).as_nanos(),
        checksum: done.iter().fold(0, |sum, thread| sum.wrapping_add(thread.checksum)),
        fairness: Some(Fairness {
            longest: done.iter().map(|thread| thread.longest.as_nanos()).max().unwrap_or(0),
            fewest: operations().min().unwrap_or(0),
            most: operations().max().unwrap_or(0),
        }),
    })
}
