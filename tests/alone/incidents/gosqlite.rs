//! go-sqlite3, mattn/go-sqlite3#1328 (2025): gigabytes of rows and statements that nobody used any more.
//!
//! - What happened: one finalizer of another library blocked, and nothing that waited behind it was ever released.
//! - The mechanism: Go runs all finalizers one after the other on one thread, and rows, statements and connections were
//!   released by theirs.
//! - Here: what a scope has is released at its end, by the thread that leaves it. No queue, and nobody to wait for.
//! - Tested: statements by the hundred thousand while a `Drop` elsewhere blocks for ever; then what is forgotten.

use std::mem::forget;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use finalite::pool::Pool;
use finalite::{Connection, handles, memory};
use serde_json::json;

use crate::common::incident::{change_by, database, times};
use crate::runner::cases;

cases![what_a_scope_has_is_gone_at_its_end,];

/// Its Drop waits for a word that does not come.
struct Blocked {
    began: Sender<()>,
    end: Receiver<()>,
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.began.send(()).unwrap();
        let _ = self.end.recv();
    }
}

/// Runs this while another thread is stuck in a Drop.
fn beside_a_blocked_drop(work: impl FnOnce()) {
    let (began, has_begun) = channel();
    let (release, end) = channel();
    let stuck = thread::spawn(move || drop(Blocked { began, end }));
    has_begun.recv().unwrap();
    work();
    assert!(!stuck.is_finished());
    drop(release);
    stuck.join().unwrap();
}

fn what_a_scope_has_is_gone_at_its_end() {
    let turns = times(40_000, 1_000_000);
    let mut warm_bytes = 0;
    let change = change_by(|| {
        beside_a_blocked_drop(|| {
            let conn = Connection::open_in_memory().unwrap();
            for turn in 0..turns {
                let mut statement = conn.prepare("VALUES (1), (?), (3)").unwrap();
                let mut rows = statement.query(("a text that is bound",)).unwrap();
                assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 1);
                drop(rows);
                drop(statement);
                let left = handles::counts();
                assert_eq!((left.statements, left.rows), (0, 0), "turn {turn}");
                if turn == 100 {
                    warm_bytes = memory::stats().bytes;
                }
            }
            assert_eq!(memory::stats().bytes, warm_bytes);
        });
    });
    let more = json!({ "destroyed": 0, "forgotten": handles::forgotten().total(), "warm_bytes": warm_bytes });
    change.print("gosqlite", turns, &more);
    change.assert_none();
    forgotten();
    control();
}

/// What `mem::forget` keeps from its end is ended with the connection, and counted by kind.
fn forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let turns = times(50, 1000);
    let before = handles::forgotten();
    let change = change_by(|| {
        for _ in 0..turns {
            let mut conn = Connection::open(&path).unwrap();
            forget(conn.prepare("SELECT a FROM t").unwrap());
            let mut statement = conn.prepare("SELECT a FROM t WHERE b = ?").unwrap();
            forget(statement.query((String::from("bound"),)).unwrap());
            assert!(statement.query_all::<i64>(("x",)).unwrap().is_empty());
            drop(statement);
            forget(conn.transaction().unwrap());
            drop(conn.transaction().unwrap());
            conn.close().unwrap();

            let pool = Pool::builder(&path).readers(1).build().unwrap();
            forget(pool.reader().unwrap());
            assert_eq!(pool.close().checked_out().len(), 1);
        }
    });
    let now = handles::forgotten();
    let kinds = now.by_kind().zip(before.by_kind()).map(|((kind, now), (_, before))| (kind.to_owned(), now - before));
    let kinds: serde_json::Map<_, _> = kinds.map(|(kind, count)| (kind, json!(count))).collect();
    let per_kind = |kind: &str| kinds[kind].as_u64();
    for (kind, count) in [("statements", 1), ("rows", 1), ("transactions", 1), ("connections", 0)] {
        assert_eq!(per_kind(kind), Some(count * turns as u64), "{kind}");
    }
    change.print("gosqlite, forgotten", turns, &json!({ "destroyed": 0, "forgotten": kinds }));
    change.assert_none();
}

/// Go's way: to drop is to send to the one thread that finalizes, which is stuck.
struct Deferred(Option<Connection>, Sender<Connection>);

impl Drop for Deferred {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            self.1.send(conn).unwrap();
        }
    }
}

fn control() {
    let (finalizers, queue) = channel::<Connection>();
    let (release, end) = channel();
    let mut finalizer = None;
    let change = change_by(|| {
        let run = move || {
            let _ = Receiver::<()>::recv(&end);
            queue.iter().for_each(drop);
        };
        finalizer = Some(thread::spawn(run));
        for _ in 0..20 {
            drop(Deferred(Some(Connection::open_in_memory().unwrap()), finalizers.clone()));
        }
    });
    change.print("gosqlite, as it was", 20, &json!({}));
    assert!(!change.is_none());
    assert_eq!((change.growth("handles"), change.growth("threads")), (20, 1));
    assert!(change.growth("native_bytes") > 20 * 1000);
    drop((release, finalizers));
    finalizer.unwrap().join().unwrap();
    assert_eq!(handles::counts().total(), 0);
}
