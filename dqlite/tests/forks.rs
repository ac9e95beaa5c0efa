//! A process that is forked has nothing of its parent's sessions.

#![cfg(target_os = "linux")]

#[path = "../../tests/common/child.rs"]
#[expect(dead_code, reason = "the driver's tests use the rest")]
mod child;
#[path = "it/node.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod node;

use finalite_dqlite::{ErrorKind, Pool, stats};
use node::{Node, empty, result, statement};

#[test]
fn a_fork_uses_no_session_of_its_parent() {
    let node = Node::start(vec![vec![statement(0, 0), result(), empty(), result()], vec![]]);
    let pool = Pool::new(node.cluster(), "app", 2);
    let conn = pool.get().unwrap();
    let kept = conn.prepare("SELECT 1").unwrap();
    // One that is idle, which a child would be lent.
    drop(pool.get().unwrap());
    assert_eq!(pool.status().idle, 1);
    let figures = stats::snapshot();
    assert_eq!((figures.sessions, figures.statements), (2, 1));
    let Some(child) = child::fork_here() else {
        let figures = stats::snapshot();
        let is_empty = figures.sessions == 0 && figures.statements == 0 && figures.bytes_sent == 0;
        let is_refused = pool.get().is_err_and(|error| matches!(error.kind(), ErrorKind::Forked));
        let is_forked = conn.execute("DELETE FROM t", ()).is_err_and(|error| matches!(error.kind(), ErrorKind::Forked));
        // Ends nothing of the parent's.
        drop(kept);
        drop(conn);
        pool.close();
        drop(pool);
        child::leave(is_empty && is_refused && is_forked && stats::snapshot().sessions == 0);
    };
    assert!(child.wait());
    // The parent goes on.
    conn.execute("DELETE FROM t", ()).unwrap();
    drop(kept);
    drop(conn);
    pool.get().unwrap().execute("DELETE FROM t", ()).unwrap();
    assert_eq!(node.seen(), [4, 8, 7, 8]);
    let figures = stats::snapshot();
    assert_eq!((figures.sessions, figures.statements), (2, 0));
}
