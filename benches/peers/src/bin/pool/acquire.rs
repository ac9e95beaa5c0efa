//! A connection is lent and given back, by one thread; nobody else wants one.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use finalite::pool::Pool;
use finalite_peers::Result;

use crate::measure::{Done, Peer};
use crate::peers::{Deadpool, Opener, Pools};

/// What every lent connection is asked once, before anything is measured.
const QUESTION: &str = "SELECT count(*) + sum(i1) + sum(length(s1)) FROM t";

/// How many connections are lent in the first run of each, all of which read the question's answer.
const ASKED: u64 = 8;

pub fn peers(pools: &Pools) -> Vec<Peer<'_>> {
    let Pools { finalite, r2d2, r2d2_unchecked, deadpool, deadpool_unchecked } = pools;
    vec![
        peer("finalite reader", || ask_finalite(finalite), |n| reader(finalite, n)),
        peer("finalite reader again", || ask_finalite(finalite), |n| reader(finalite, n)),
        peer("finalite try_reader", || ask_finalite(finalite), |n| try_reader(finalite, n)),
        peer("finalite reader_owned", || ask_owned(finalite), |n| reader_owned(finalite, n)),
        peer("r2d2", || ask_r2d2(r2d2), |n| get(r2d2, n)),
        peer("r2d2 unchecked", || ask_r2d2(r2d2_unchecked), |n| get(r2d2_unchecked, n)),
        peer("deadpool", || ask_deadpool(deadpool), |n| get_async(deadpool, n)),
        peer("deadpool unchecked", || ask_deadpool(deadpool_unchecked), |n| get_async(deadpool_unchecked, n)),
    ]
}

/// Each run begins with what is not timed: the connections are asked for what is in the file.
fn peer<'a>(name: &'static str, ask: impl Fn() -> Result<i64> + 'a, run: impl Fn(u64) -> Result<()> + 'a) -> Peer<'a> {
    Peer::new(name, move |operations| {
        let mut checksum = operations;
        for _ in 0..ASKED {
            checksum = checksum.wrapping_add(ask()?.cast_unsigned());
        }
        let begin = Instant::now();
        run(operations)?;
        Ok(Done { nanoseconds: begin.elapsed().as_nanos(), checksum, fairness: None })
    })
}

fn ask_finalite(pool: &Pool) -> Result<i64> {
    Ok(pool.reader()?.query_one(QUESTION, ())?)
}

fn ask_owned(pool: &Arc<Pool>) -> Result<i64> {
    Ok(pool.reader_owned()?.query_one(QUESTION, ())?)
}

fn ask_r2d2(pool: &r2d2::Pool<Opener>) -> Result<i64> {
    Ok(pool.get()?.prepare_cached(QUESTION)?.query_row((), |row| row.get(0))?)
}

fn ask_deadpool(pool: &Deadpool) -> Result<i64> {
    pool.block_on(async |pool| {
        let conn = pool.get().await?;
        let ask = |conn: &mut rusqlite::Connection| conn.prepare_cached(QUESTION)?.query_row((), |row| row.get(0));
        Ok(conn.interact(ask).await.map_err(|error| error.to_string())??)
    })
}

#[inline(never)]
fn reader(pool: &Pool, operations: u64) -> Result<()> {
    for _ in 0..operations {
        black_box(&pool.reader()?);
    }
    Ok(())
}

#[inline(never)]
fn try_reader(pool: &Pool, operations: u64) -> Result<()> {
    for _ in 0..operations {
        black_box(&pool.try_reader()?.ok_or("no reader is free")?);
    }
    Ok(())
}

#[inline(never)]
fn reader_owned(pool: &Arc<Pool>, operations: u64) -> Result<()> {
    for _ in 0..operations {
        black_box(&pool.reader_owned()?);
    }
    Ok(())
}

#[inline(never)]
fn get(pool: &r2d2::Pool<Opener>, operations: u64) -> Result<()> {
    for _ in 0..operations {
        black_box(&pool.get()?);
    }
    Ok(())
}

/// All of them within one future, so that the runtime is entered once.
#[inline(never)]
fn get_async(pool: &Deadpool, operations: u64) -> Result<()> {
    pool.block_on(async |pool| {
        for _ in 0..operations {
            black_box(&pool.get().await?);
        }
        Ok(())
    })
}
