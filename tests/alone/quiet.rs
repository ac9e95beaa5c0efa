//! Nothing is sent at WARN or above while nothing is wrong.

use std::mem::{forget, take};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use finalite::pool::{Checkpointer, Pool};
use finalite::{Connection, OpenOptions};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};

use crate::common::listening::{Fields, ignores_spans};
use crate::runner::cases;

cases![nothing_is_warned_of_in_normal_use,];

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= LevelFilter::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Fields(format!("{} {}:", event.metadata().level(), event.metadata().target()));
        event.record(&mut line);
        WARNINGS.lock().unwrap().push(line.0);
    }

    ignores_spans!();
}

fn warnings_of(run: impl FnOnce()) -> Vec<String> {
    assert_eq!(take(&mut *WARNINGS.lock().unwrap()), [""; 0]);
    run();
    take(&mut *WARNINGS.lock().unwrap())
}

/// Two indexed tables of which SQLite has no statistics.
fn fill(conn: &Connection) {
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX t_b ON t(b);
         CREATE TABLE u(a INTEGER PRIMARY KEY, b); CREATE INDEX u_b ON u(b);
         INSERT INTO t(b) VALUES (1), (2), (3); INSERT INTO u(b) VALUES (1), (2), (3);",
    )
    .unwrap();
}

/// A query after which `PRAGMA optimize` has something to do.
fn look(conn: &Connection) {
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t JOIN u USING (b) WHERE b = 2", ()).unwrap(), 1);
}

fn use_pool(pool: Pool) {
    let pool = Arc::new(pool);
    pool.write(|tx| tx.execute("INSERT INTO t(b) VALUES (7)", ())).ok();
    let readers = [pool.reader().unwrap(), pool.reader().unwrap()];
    readers.iter().for_each(|conn| look(conn));
    drop(readers);
    look(&pool.reserve().unwrap());
    look(&pool.writer().unwrap());
    assert!(Arc::into_inner(pool).unwrap().close().is_clean());
}

fn of_connections(path: &Path) {
    for options in [OpenOptions::new(), OpenOptions::recommended()] {
        for options in [options.clone(), options.clone().read_only(true), options.pragma("query_only", 1)] {
            let conn = options.open(path).unwrap();
            look(&conn);
            conn.close().unwrap();
        }
    }
    // While somebody else writes.
    let conn = OpenOptions::recommended().busy_timeout(Duration::ZERO).open(path).unwrap();
    look(&conn);
    let other = Connection::open(path).unwrap();
    other.execute("BEGIN IMMEDIATE", ()).unwrap();
    conn.close().unwrap();
    other.execute("COMMIT", ()).unwrap();
    // What is dropped, in the midst of something.
    let mut conn = OpenOptions::recommended().open(path).unwrap();
    let tx = conn.transaction().unwrap();
    look(&tx);
    drop(tx);
    drop(conn);
    let conn = OpenOptions::recommended().open_in_memory().unwrap();
    fill(&conn);
    look(&conn);
    conn.close().unwrap();
}

fn of_pools(path: &Path) {
    let options = OpenOptions::recommended();
    use_pool(Pool::builder(path).reserved(1).build().unwrap());
    use_pool(Pool::builder(path).options(options.clone().read_only(true)).reserved(1).build().unwrap());
    let pool = Pool::in_memory("quiet").reserved(1).build().unwrap();
    fill(&pool.writer().unwrap());
    use_pool(pool);

    // Shut down while it is in use, with a thread that checkpoints.
    let pool = Arc::new(Pool::builder(path).options(options).build().unwrap());
    let every = Duration::from_micros(100);
    let checkpointer = Checkpointer::start(&pool, every).unwrap();
    let reader = pool.reader_owned().unwrap();
    look(&reader);
    pool.write(|tx| tx.execute("INSERT INTO t(b) VALUES (7)", ())).unwrap();
    thread::sleep(Duration::from_millis(20));
    // The reader, and at times the writer with the checkpointer.
    assert!(!pool.shut_down().checked_out().is_empty());
    thread::sleep(Duration::from_millis(20));
    drop(reader);
    drop(checkpointer);
}

fn nothing_is_warned_of_in_normal_use() {
    tracing::subscriber::set_global_default(Listener).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let anew = |name: &str| {
        let path = dir.path().join(name);
        fill(&OpenOptions::recommended().open(&path).unwrap());
        path
    };
    assert_eq!(warnings_of(|| of_connections(&anew("a.db"))), [""; 0]);
    assert_eq!(warnings_of(|| of_pools(&anew("b.db"))), [""; 0]);

    // The control: each of these is heard.
    let heard = warnings_of(|| {
        let conn = Connection::open_in_memory().unwrap();
        forget(conn.prepare("SELECT 1").unwrap());
    });
    assert!(heard.len() == 1 && heard[0].contains("a forgotten handle"), "{heard:?}");
    let heard = warnings_of(|| {
        let pool = Pool::builder(anew("c.db")).build().unwrap();
        let reader = pool.reader().unwrap();
        reader.execute("CREATE TEMP TABLE x(a)", ()).unwrap();
        drop(reader);
    });
    assert!(heard.len() == 1 && heard[0].contains("temporary_schema"), "{heard:?}");
}
