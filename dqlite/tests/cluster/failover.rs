//! Nodes that end, and what is known of the writes.

use std::collections::BTreeSet;
use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use finalite_dqlite::{Cluster, Connection, ErrorKind, RetryPolicy, Role};

use crate::with_nodes;

/// Answers that a writer got for the numbers that it has inserted.
#[derive(Default)]
struct Told {
    acked: BTreeSet<i64>,
    unknown: BTreeSet<i64>,
    /// Neither was stored, says the error.
    not_stored: BTreeSet<i64>,
    /// An error that says neither.
    other: Vec<String>,
    longest_gap: Duration,
    last_error: Option<String>,
}

/// Inserts numbers, each once, until it is told to stop.
fn write(cluster: &Cluster, told: &Mutex<Told>, stop: &AtomicBool, first: i64) {
    let mut conn: Option<Connection> = None;
    let mut last_ack = Instant::now();
    for number in first.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if conn.as_ref().is_none_or(|conn| !conn.is_alive()) {
            conn = match cluster.open("failover") {
                Ok(conn) => Some(conn),
                Err(error) => {
                    told.lock().unwrap().last_error = Some(error.to_string());
                    None
                }
            };
        }
        let Some(conn) = &conn else { continue };
        let result = conn.execute("INSERT INTO written(number) VALUES (?)", (number,));
        let mut told = told.lock().unwrap();
        if let Err(error) = &result {
            told.last_error = Some(error.to_string());
        }
        match result {
            Ok(_) => {
                told.acked.insert(number);
                told.longest_gap = told.longest_gap.max(last_ack.elapsed());
                last_ack = Instant::now();
            }
            Err(error) if error.is_unknown() => {
                told.unknown.insert(number);
            }
            Err(error) if error.is_not_leader() || error.is_busy() => {
                told.not_stored.insert(number);
            }
            Err(error) if matches!(error.kind(), ErrorKind::Disconnected { .. } | ErrorKind::Dead { .. }) => {
                told.not_stored.insert(number);
            }
            Err(error) => told.other.push(error.to_string()),
        }
    }
}

#[track_caller]
fn compare(conn: &Connection, told: &Told, label: &str) {
    let found: BTreeSet<i64> =
        conn.query_all("SELECT number FROM written ORDER BY number", ()).unwrap().into_iter().collect();
    let lost: Vec<_> = told.acked.difference(&found).collect();
    let against: Vec<_> = told.not_stored.intersection(&found).collect();
    let unknown_stored = told.unknown.intersection(&found).count();
    eprintln!(
        "{label}: {} acknowledged, {} lost; {} unknown, of which {unknown_stored} stored; {} not stored; longest gap {:?}",
        told.acked.len(),
        lost.len(),
        told.unknown.len(),
        told.not_stored.len(),
        told.longest_gap,
    );
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(against.is_empty(), "said not to be stored, and found: {against:?}");
    assert!(told.other.is_empty(), "{:?}", told.other);
    assert_eq!(found.len(), told.acked.len() + unknown_stored, "rows that nobody has written");
    assert!(!told.acked.is_empty());
}

#[test]
#[ignore = "three nodes, by .ci/dqlite.sh"]
fn no_acknowledged_write_is_lost_with_the_leader() {
    with_nodes(|nodes| {
        let kills: usize = env::var("FINALITE_DQLITE_KILLS").map_or(5, |kills| kills.parse().unwrap());
        nodes.open("failover").execute("CREATE TABLE written(number INTEGER PRIMARY KEY) STRICT", ()).unwrap();
        let (told, stop) = (Mutex::default(), AtomicBool::new(false));
        let mut first = 0;
        for kill in 0..kills {
            stop.store(false, Ordering::Relaxed);
            first += 1_000_000;
            let (leader, cluster) = (nodes.leader(), nodes.cluster());
            thread::scope(|scope| {
                scope.spawn(|| write(&cluster, &told, &stop, first));
                thread::sleep(Duration::from_millis(300));
                nodes.kill(leader);
                // Until writes are acknowledged again.
                let before = told.lock().unwrap().acked.len();
                let until = Instant::now() + Duration::from_secs(60);
                while told.lock().unwrap().acked.len() < before + 20 && Instant::now() < until {
                    thread::sleep(Duration::from_millis(20));
                }
                stop.store(true, Ordering::Relaxed);
                if Instant::now() >= until {
                    let last = told.lock().unwrap().last_error.take();
                    panic!("no write for a minute after kill {kill}: {last:?}\n{}", nodes.describe());
                }
            });
            nodes.run(leader);
            nodes.settle();
        }
        let told = told.into_inner().unwrap();
        compare(&nodes.open("failover"), &told, &format!("{kills} kills of the leader"));
    });
}

#[test]
#[ignore = "three nodes, by .ci/dqlite.sh"]
fn no_acknowledged_write_is_lost_with_a_majority_or_with_all() {
    with_nodes(|nodes| {
        nodes.open("failover").execute("CREATE TABLE written(number INTEGER PRIMARY KEY) STRICT", ()).unwrap();
        for (round, label) in [(1, "a majority"), (2, "all three")] {
            let (told, stop) = (Mutex::default(), AtomicBool::new(false));
            let cluster = Cluster::builder(nodes.addresses())
                .leader_timeout(Duration::from_secs(1))
                .io_timeout(Duration::from_secs(8))
                .build();
            let first = round * 1_000_000;
            thread::scope(|scope| {
                scope.spawn(|| write(&cluster, &told, &stop, first));
                thread::sleep(Duration::from_millis(400));
                let leader = nodes.leader();
                let others = (0..3).filter(|&index| index != leader);
                let killed: Vec<usize> = if round == 1 { others.collect() } else { (0..3).collect() };
                killed.iter().for_each(|&index| nodes.kill(index));
                // What was under way may be answered; what begins now must not be acknowledged.
                thread::sleep(Duration::from_millis(200));
                let before = told.lock().unwrap().acked.len();
                thread::sleep(Duration::from_secs(10));
                let acked = told.lock().unwrap().acked.len() - before;
                stop.store(true, Ordering::Relaxed);
                killed.iter().for_each(|&index| nodes.run(index));
                assert_eq!(acked, 0, "{acked} writes were acknowledged without {label}");
            });
            nodes.settle();
            let conn = nodes.open("failover");
            compare(&conn, &told.into_inner().unwrap(), &format!("{label} of the nodes killed"));
            conn.execute("DELETE FROM written", ()).unwrap();
        }
    });
}

#[test]
#[ignore = "three nodes, by .ci/dqlite.sh"]
fn a_leader_that_hands_over_ends_its_transactions() {
    with_nodes(|nodes| {
        let mut conn = nodes.open("transfer");
        conn.execute("CREATE TABLE t(a INTEGER) STRICT", ()).unwrap();
        let cluster = nodes.cluster();
        let tx = conn.transaction().unwrap();
        let mut insert = tx.prepare("INSERT INTO t VALUES (?)").unwrap();
        insert.execute((1,)).unwrap();
        let leader = cluster.leader().unwrap();
        let other = cluster.members().unwrap().into_iter().find(|node| node.id != leader.id).unwrap();
        cluster.transfer(other.id).unwrap();
        nodes.wait_for("the other leader", |nodes| {
            nodes.cluster().leader().is_ok_and(|now| now.address == other.address)
        });
        let error = insert.execute((2,)).and_then(|_| tx.commit()).unwrap_err();
        assert!(error.is_not_leader() || matches!(error.kind(), ErrorKind::Disconnected { .. }), "{error}");
        // Its number is void: nothing is sent for it.
        insert.finalize().unwrap();
        assert!(!conn.is_alive());
        conn.reopen().unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
        assert_eq!(conn.prepare("SELECT 1").unwrap().id(), 0);

        // The same within `retry`: the work is run again, once, on the new leader.
        let mut runs = 0;
        let address = conn.address();
        conn.retry(RetryPolicy::new(Duration::from_secs(30)), |tx| {
            runs += 1;
            tx.execute("INSERT INTO t VALUES (3)", ())?;
            if runs == 1 {
                cluster.transfer(leader.id)?;
                nodes.wait_for("the first leader", |nodes| {
                    nodes.cluster().leader().is_ok_and(|now| now.id == leader.id)
                });
            }
            tx.execute("INSERT INTO t VALUES (4)", ())
        })
        .unwrap();
        assert_eq!(runs, 2);
        assert_ne!(conn.address(), address);
        assert_eq!(conn.query_all::<i64>("SELECT a FROM t ORDER BY a", ()).unwrap(), [3, 4]);
        assert_eq!(nodes.ended(), 0);
    });
}

#[test]
#[ignore = "three nodes, by .ci/dqlite.sh"]
fn members_are_removed_and_added() {
    with_nodes(|nodes| {
        let cluster = nodes.cluster();
        let conn = nodes.open("members");
        conn.execute("CREATE TABLE t(a INTEGER) STRICT", ()).unwrap();
        let leader = cluster.leader().unwrap();
        let members = cluster.members().unwrap();
        assert_eq!(members.len(), 3);
        let follower = members.iter().find(|node| node.id != leader.id).unwrap();
        assert!(cluster.remove(follower.id + 1).is_err(), "no such node");
        cluster.remove(follower.id).unwrap();
        assert_eq!(cluster.members().unwrap().len(), 2);
        conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
        cluster.add(follower.id, &follower.address).unwrap();
        let role = |cluster: &Cluster| {
            let members = cluster.members().unwrap();
            members.into_iter().find(|node| node.id == follower.id).and_then(|node| node.role)
        };
        assert_eq!(role(&cluster), Some(Role::Spare));
        cluster.assign(follower.id, Role::Voter).unwrap();
        assert_eq!(role(&cluster), Some(Role::Voter));
        assert_eq!(conn.query_one::<i64>("SELECT a FROM t", ()).unwrap(), 1);
        assert_eq!(nodes.ended(), 0);
    });
}

/// Reading a REAL from a column that is declared as DATETIME ends a node. It must be one node, and not the next as well.
#[test]
#[ignore = "three nodes, by .ci/dqlite.sh"]
fn a_query_that_ends_its_node_ends_no_other() {
    with_nodes(|nodes| {
        let mut conn = nodes.open("poison");
        conn.execute("CREATE TABLE z(d DATETIME)", ()).unwrap();
        conn.execute("CREATE TABLE strict(d TEXT) STRICT", ()).unwrap();
        conn.execute("INSERT INTO z VALUES (1.5)", ()).unwrap();
        let columns = conn.typed_columns().unwrap();
        let names: Vec<_> = columns.iter().map(|typed| (&*typed.table, &*typed.column, &*typed.declared)).collect();
        assert_eq!(names, [("z", "d", "DATETIME")]);
        assert_eq!(conn.query_one::<f64>("SELECT +d FROM z", ()).unwrap(), 1.5);

        let result = conn.retry(RetryPolicy::default(), |tx| tx.query_one::<f64>("SELECT d FROM z", ()));
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Disconnected { .. }), "{error}");
        thread::sleep(Duration::from_millis(500));
        assert_eq!(nodes.ended(), 1, "of the three nodes");
        nodes.expected_ends = 1;
        nodes.revive();
        conn.reopen().unwrap();
        assert_eq!(conn.query_one::<f64>("SELECT +d FROM z", ()).unwrap(), 1.5);
    });
}
