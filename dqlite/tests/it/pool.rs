//! Sessions that are lent.

use std::time::Duration;

use finalite_dqlite::{ErrorKind, Pool, stats};

use crate::node::{Node, Step, empty, failure, result, statement};

#[test]
fn a_session_comes_back_as_it_was() {
    // BEGIN and PREPARE, both forgotten; ROLLBACK and FINALIZE as it comes back; then a query.
    let script = vec![result(), statement(0, 0), result(), empty(), result()];
    let node = Node::start(vec![script]);
    let pool = Pool::with_timeout(node.cluster(), "app", 1, Duration::from_millis(50));
    let before = stats::snapshot().statements_forgotten;
    let mut conn = pool.get().unwrap();
    let tx = conn.transaction().unwrap();
    std::mem::forget(tx.prepare("SELECT 1").unwrap());
    std::mem::forget(tx);
    let error = pool.get().map(drop).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PoolTimeout { .. }), "{error}");
    drop(conn);
    assert_eq!(stats::snapshot().statements_forgotten, before + 1);
    let conn = pool.get().unwrap();
    assert_eq!(conn.live_statements(), 0);
    conn.execute("DELETE FROM t", ()).unwrap();
    drop(conn);
    assert_eq!((pool.status().idle, pool.status().checked_out), (1, 0));
    assert_eq!(node.seen(), [8, 4, 8, 7, 8]);
    pool.close();
    assert!(matches!(pool.get().map(drop).unwrap_err().kind(), ErrorKind::PoolClosed));
    assert_eq!(pool.status().idle, 0);
}

#[test]
fn a_session_that_has_ended_is_replaced_and_nothing_is_sent_again() {
    let node = Node::start(vec![vec![failure(10250, "not leader")], vec![Step::Close], vec![result()]]);
    let pool = Pool::new(node.cluster(), "app", 1);
    let insert = || pool.get().unwrap().execute("INSERT INTO t VALUES (1)", ());
    assert!(insert().unwrap_err().is_not_leader());
    assert!(insert().unwrap_err().is_unknown());
    insert().unwrap();
    assert_eq!(node.seen(), [8, 8, 8]);
}

#[test]
fn figures_are_in_the_snapshot_and_in_the_metrics() {
    let node = Node::start(vec![vec![statement(0, 0), empty()]]);
    let conn = node.open();
    let statement = conn.prepare("SELECT 1").unwrap();
    let all = finalite::stats::snapshot();
    let statements = all.provided.iter().find(|stat| stat.name == "dqlite_statements").unwrap();
    assert!(statements.value >= 1);
    assert!(statements.parts.iter().any(|(site, _)| site.contains("pool.rs")), "{statements:?}");
    assert!(all.to_json().contains("\"name\":\"dqlite_sessions\""));
    let metrics = finalite_endpoint::to_openmetrics(&all);
    for line in ["dqlite_sessions ", "dqlite_sent_bytes_total ", "# TYPE dqlite_received_bytes counter"] {
        assert!(metrics.contains(&format!("\n{line}")), "{line}: {metrics}");
    }
    assert!(!metrics.contains("pool.rs"));
    drop(statement);
}
