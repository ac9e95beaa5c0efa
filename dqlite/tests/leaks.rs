//! Sessions that end in each way leave no descriptor, no thread, no session and no statement.

#![cfg(target_os = "linux")]

#[path = "it/node.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod node;

use std::fs;
use std::time::{Duration, Instant};

use finalite_dqlite::{Connection, Pool, stats};
use node::{DONE, MORE, Node, Step, empty, failure, message, result, rows, statement, words};

/// Descriptors, threads, sessions, statements.
fn left() -> [u64; 4] {
    let count = |directory: &str| fs::read_dir(directory).unwrap().count() as u64;
    let stats = stats::snapshot();
    [count("/proc/self/fd"), count("/proc/self/task"), stats.sessions, stats.statements]
}

/// Waits until the nodes' own threads and descriptors are gone, too.
#[track_caller]
fn check(before: [u64; 4]) {
    let until = Instant::now() + Duration::from_secs(10);
    while left() != before {
        assert!(Instant::now() < until, "descriptors, threads, sessions, statements: {before:?}, now {:?}", left());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn with(script: Vec<Step>, work: impl FnOnce(&mut Connection)) {
    work(&mut Node::start(vec![script]).open());
}

#[test]
fn sessions_leave_nothing() {
    let endings = || {
        with(vec![], |_| {});
        with(vec![result()], |conn| drop(conn.transaction().unwrap()));
        with(vec![failure(10250, "not leader")], |conn| drop(conn.execute("DELETE FROM t", ()).unwrap_err()));
        with(vec![Step::Close], |conn| drop(conn.execute("DELETE FROM t", ()).unwrap_err()));
        with(vec![Step::CloseAfter(message(7, 0, &words(&[1])))], |conn| {
            drop(conn.execute("SELECT 1", ()).unwrap_err())
        });
        with(vec![statement(0, 0), Step::CloseAfter(rows(0..9, MORE))], |conn| {
            let mut statement = conn.prepare("SELECT n").unwrap();
            let mut rows = statement.query(()).unwrap();
            assert_eq!(rows.next_as::<u64>().unwrap(), Some(0));
        });
        with(vec![statement(0, 0), Step::Answer(rows(0..9, DONE)), empty()], |conn| {
            let mut statement = conn.prepare("SELECT n").unwrap();
            std::mem::forget(statement.query(()).unwrap());
            std::mem::forget(statement);
        });
        with(vec![statement(0, 0)], |conn| std::mem::forget(conn.prepare("SELECT 1").unwrap()));
        // Guards of a pool that are forgotten, which closes, or ends.
        for closes in [false, true] {
            let node = Node::start(vec![vec![]]);
            let pool = Pool::new(node.cluster(), "app", 1);
            std::mem::forget(pool.get().unwrap());
            if closes {
                pool.close();
            }
        }
    };
    endings();
    let until = Instant::now() + Duration::from_secs(10);
    while left()[1] > 2 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = left();
    for _ in 0..5 {
        endings();
    }
    check(before);

    // The positive control: a session that is kept is found, with its statement, as is a thread.
    let node = Node::start(vec![vec![statement(0, 0), empty()]]);
    let conn = node.open();
    let kept = conn.prepare("SELECT 1").unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    let now = left();
    assert!((0..4).all(|kind| now[kind] > before[kind]), "{before:?}, {now:?}");
    assert_eq!((now[2], now[3]), (before[2] + 1, before[3] + 1));
    drop(stop);
    thread.join().unwrap().unwrap_err();
    drop(kept);
    drop(conn);
    drop(node);
    check(before);
}
