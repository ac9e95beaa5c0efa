//! TiDB, pingcap/tidb#59798 (2025): sessions that came back broken stayed in memory for ever.
//!
//! - What happened: where the `ROLLBACK` on the way back to the pool failed, the session was closed by hand.
//! - The mechanism: that path freed the session and did not take it out of the manager's map, the second of two books.
//! - Here: a connection of a pool ends in one function alone, whatever failed; its slot is given back last, by value.
//!   That it is clean is read from `sqlite3_get_autocommit`, not from what the rollback returned.
//! - Tested: rollbacks that fail, with the guard dropped as usual, from within a transaction, and during a panic.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use finalite::pool::{DestroyReason, Pool, PooledConnection, Role};
use finalite::{Connection, OpenOptions, handles};
use serde_json::json;

use crate::common::incident::{change_by, database, times, watch_rollbacks, while_rollback_is_denied};
use crate::runner::cases;

cases![a_rollback_that_fails_costs_nothing_but_its_connection,];

const READERS: usize = 3;
const SIZE: u64 = READERS as u64 + 1;

/// What a caller does until its connection comes back with a transaction that cannot be rolled back.
type Way = (&'static str, DestroyReason, fn(PooledConnection<'_>, Role));

const WAYS: [Way; 4] = [
    ("begun by hand", DestroyReason::RollbackFailed, |conn, role| {
        begin(&conn, role);
        while_rollback_is_denied(|| drop(conn));
    }),
    ("begun with a guard", DestroyReason::RollbackFailed, |mut conn, role| {
        let tx = conn.transaction().unwrap();
        use_it(&tx, role);
        while_rollback_is_denied(|| drop(tx));
        while_rollback_is_denied(|| drop(conn));
    }),
    ("a panic", DestroyReason::Panicked, |mut conn, role| {
        let work = || {
            let tx = conn.transaction().unwrap();
            use_it(&tx, role);
            resume_unwind(Box::new("in the closure"));
        };
        assert!(catch_unwind(AssertUnwindSafe(|| while_rollback_is_denied(work))).is_err());
        // The panic was caught within: what is left is a transaction that was not rolled back.
        let error = while_rollback_is_denied(|| conn.execute("SELECT 1", ())).unwrap_err();
        assert_eq!(error.code_name(), Some("SQLITE_AUTH"));
        let drop_it = move || {
            let _conn = conn;
            resume_unwind(Box::new("while the guard is there"));
        };
        assert!(catch_unwind(AssertUnwindSafe(|| while_rollback_is_denied(drop_it))).is_err());
    }),
    ("a guard dropped during a panic", DestroyReason::Panicked, |conn, role| {
        let work = move || {
            begin(&conn, role);
            let _conn = conn;
            resume_unwind(Box::new("while the guard is there"));
        };
        assert!(catch_unwind(AssertUnwindSafe(|| while_rollback_is_denied(work))).is_err());
    }),
];

fn begin(conn: &Connection, role: Role) {
    conn.execute(if role == Role::Writer { "BEGIN IMMEDIATE" } else { "BEGIN" }, ()).unwrap();
    use_it(conn, role);
}

fn use_it(conn: &Connection, role: Role) {
    match role {
        Role::Writer => drop(conn.execute("INSERT INTO t(b) VALUES ('never stored')", ()).unwrap()),
        _ => drop(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap()),
    }
}

fn a_rollback_that_fails_costs_nothing_but_its_connection() {
    let each = times(1000, 10_000);
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let mut destroyed = 0;
    let change = change_by(|| {
        let options = OpenOptions::recommended().pragma("synchronous", "off");
        let pool = Pool::builder(&path).readers(READERS).options(options).init(watch_rollbacks);
        let pool = pool.acquire_timeout(Duration::from_secs(10)).build().unwrap();
        for (name, reason, way) in WAYS {
            let before = pool.status().destroyed(reason);
            for turn in 0..each {
                let role = if turn % 4 == 0 { Role::Writer } else { Role::Reader };
                let conn = if role == Role::Writer { pool.writer() } else { pool.reader() }.unwrap();
                assert!(conn.is_autocommit(), "{name}, turn {turn}: lent with a transaction open");
                way(conn, role);
                assert!(handles::counts().connections <= SIZE, "{name}, turn {turn}");
                assert!(pool.status().roles.iter().all(|role| role.checked_out.is_empty()), "{name}, turn {turn}");
            }
            assert_eq!(pool.status().destroyed(reason) - before, each as u64, "{name}");
        }
        destroyed = pool.status().destroyed_total.iter().sum();
        let count: i64 = pool.reader().unwrap().query_one("SELECT count(*) FROM t", ()).unwrap();
        assert_eq!(count, 0, "what was not committed is not there");
        let report = pool.close();
        assert!(report.is_clean(), "{report}");
    });
    let more = json!({ "destroyed": destroyed, "forgotten": handles::forgotten().total() });
    change.print("tidb", each * WAYS.len(), &more);
    change.assert_none();
    control(&path);
}

/// TiDB's two books: the path of the error puts nothing back into the one and leaves all in the other.
struct Manager {
    idle: Vec<u64>,
    sessions: HashMap<u64, Connection>,
    next: u64,
}

impl Manager {
    fn take(&mut self, open: impl Fn() -> Connection) -> u64 {
        self.idle.pop().unwrap_or_else(|| {
            self.next += 1;
            self.sessions.insert(self.next, open());
            self.next
        })
    }

    fn give_back(&mut self, id: u64) {
        if self.sessions[&id].execute("ROLLBACK", ()).is_ok() {
            self.idle.push(id);
        }
    }
}

fn control(path: &std::path::Path) {
    let mut manager = Manager { idle: Vec::new(), sessions: HashMap::new(), next: 0 };
    let open = || OpenOptions::recommended().init(watch_rollbacks).open(path).unwrap();
    let change = change_by(|| {
        for _ in 0..20 {
            let id = manager.take(open);
            manager.sessions[&id].execute("BEGIN", ()).unwrap();
            while_rollback_is_denied(|| manager.give_back(id));
        }
    });
    change.print("tidb, as it was", 20, &json!({}));
    assert!(!change.is_none());
    let sessions = handles::counts().connections;
    assert_eq!((sessions, change.growth("handles") >= 20, change.growth("native_bytes") > 0), (20, true, true));
}
