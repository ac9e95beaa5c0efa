//! Many ask at once, while the program works.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use finalite::OpenOptions;
use finalite::pool::Pool;

use crate::Case;
use crate::client::{PATHS, try_ask};
use crate::serving::started;

pub const CASES: &[Case] = &[("parallel scrapes", parallel_scrapes_disturb_nobody)];

const SCRAPES: usize = 500;

/// Moves numbers about, and checks that their sum stays, and that each row is what it was written as.
fn work(pool: &Pool, n: i64, round: i64) {
    let id = (n * 37 + round * 11) % 100;
    pool.write(|tx| {
        tx.execute("UPDATE t SET a = a - 1, b = printf('%d/%d', id, a - 1) WHERE id = ?", (id,))?;
        tx.execute("UPDATE t SET a = a + 1, b = printf('%d/%d', id, a + 1) WHERE id = ?", ((id + 1) % 100,))?;
        Ok(())
    })
    .unwrap();
    let reader = pool.reader().unwrap();
    let rows = reader.query_all::<(i64, i64, String)>("SELECT id, a, b FROM t ORDER BY id", ()).unwrap();
    assert_eq!(rows.len(), 100);
    assert_eq!(rows.iter().map(|row| row.1).sum::<i64>(), 100_000);
    for (at, (id, a, b)) in (0..).zip(&rows) {
        assert_eq!((*id, b), (at, &format!("{id}/{a}")));
    }
}

fn parallel_scrapes_disturb_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions::recommended().pragma("synchronous", "off");
    let pool = Pool::builder(dir.path().join("a.db")).options(options).readers(4).build().unwrap();
    let fill = "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b);
                WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99)
                INSERT INTO t SELECT i, 1000, printf('%d/%d', i, 1000) FROM n";
    pool.writer().unwrap().execute_batch(fill).unwrap();
    let endpoint = started();
    let address = endpoint.address();
    let (is_done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let wrong = Mutex::new(Vec::new());
    let begin = Barrier::new(SCRAPES);
    thread::scope(|scope| {
        let (pool, is_done, rounds, wrong, begin) = (&pool, &is_done, &rounds, &wrong, &begin);
        let workers: Vec<_> = (0..4)
            .map(|n| {
                scope.spawn(move || {
                    for round in 0.. {
                        work(pool, n, round);
                        rounds.fetch_add(1, Ordering::Relaxed);
                        if is_done.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                })
            })
            .collect();
        let scrapes: Vec<_> = (0..SCRAPES)
            .map(|n| {
                let scrape = move || {
                    begin.wait();
                    let path = PATHS[n % PATHS.len()];
                    if let Err(what) = try_ask(address, "GET", path).and_then(|answer| answer.check(path)) {
                        wrong.lock().unwrap().push(what);
                    }
                };
                thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, scrape).unwrap()
            })
            .collect();
        let all = scrapes.into_iter().all(|scrape| scrape.join().is_ok());
        is_done.store(true, Ordering::Relaxed);
        assert!(all && workers.into_iter().all(|worker| worker.join().is_ok()));
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {SCRAPES}: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(rounds.into_inner() >= 4);
    let reader = pool.reader().unwrap();
    assert_eq!(reader.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
    drop(reader);
    assert!(pool.close().is_clean());
}
