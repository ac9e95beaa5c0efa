//! Sessions that are lent.

use std::time::{Duration, Instant};

use finalite_dqlite::{ErrorKind, Pool, RetryPolicy, stats};

use crate::node::{Node, Step, empty, failure, message, result, statement, text, words};

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
    assert!(stats::snapshot().statements_forgotten > before);
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
fn one_session_that_has_ended_dates_the_idle_ones_out() {
    let insert = "INSERT INTO t VALUES (1)";
    // The first is asked whether it is the leader's, and does not answer; the second would.
    let leader = Step::Answer(message(1, 0, &[words(&[1]), text("elsewhere")].concat()));
    let node = Node::start(vec![vec![result(), Step::Stall], vec![result(), leader], vec![result()]]);
    let pool = Pool::new(node.cluster(), "app", 2);
    let (first, second) = (pool.get().unwrap(), pool.get().unwrap());
    first.execute(insert, ()).unwrap();
    second.execute(insert, ()).unwrap();
    drop(second);
    drop(first);
    std::thread::sleep(Duration::from_millis(1100));
    let began = Instant::now();
    pool.get().unwrap().execute(insert, ()).unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!((pool.status().idle, node.seen()), (1, vec![8, 8, 0, 8]));

    // One that `retry` has reopened.
    let scripts = vec![
        vec![failure(10250, "not leader")],
        vec![result(), failure(1, "asked")],
        vec![result(), result(), result()],
        vec![result()],
    ];
    let node = Node::start(scripts);
    let pool = Pool::new(node.cluster(), "app", 2);
    let (mut first, second) = (pool.get().unwrap(), pool.get().unwrap());
    second.execute(insert, ()).unwrap();
    drop(second);
    first.retry(RetryPolicy::default(), |tx| tx.execute(insert, ())).unwrap();
    drop(first);
    let (first, second) = (pool.get().unwrap(), pool.get().unwrap());
    second.execute(insert, ()).unwrap();
    drop((first, second));
    assert_eq!(node.seen(), [8, 8, 8, 8, 8, 8]);
}

#[test]
fn a_guard_that_is_leaked_is_counted_and_its_session_ended() {
    let node = Node::start(vec![vec![], vec![], vec![]]);
    let before = stats::snapshot();
    let sessions = || stats::snapshot().sessions_forgotten - before.sessions_forgotten;
    // With its pool.
    let pool = Pool::with_timeout(node.cluster(), "app", 1, Duration::ZERO);
    std::mem::forget(pool.get().unwrap());
    assert!(matches!(pool.get().map(drop).unwrap_err().kind(), ErrorKind::PoolTimeout { .. }));
    drop(pool);
    assert_eq!(sessions(), 1);
    // When it is closed, as is one that is lent and idle.
    let pool = Pool::new(node.cluster(), "app", 2);
    std::mem::forget(pool.get().unwrap());
    let lent = pool.get().unwrap();
    pool.close();
    let error = lent.query_one::<i64>("SELECT 1", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Disconnected { .. }), "{error}");
    drop(lent);
    drop(pool);
    assert_eq!(sessions(), 2);
    assert!(node.seen().is_empty());
}

#[test]
fn a_statement_that_was_leaked_is_counted_by_reopening() {
    let node = Node::start(vec![vec![statement(0, 0)], vec![]]);
    let before = stats::snapshot().statements_forgotten;
    let mut conn = node.open();
    std::mem::forget(conn.prepare("SELECT 1").unwrap());
    conn.reopen().unwrap();
    assert!(stats::snapshot().statements_forgotten > before);
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
