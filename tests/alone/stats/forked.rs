//! The snapshot of a forked child.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use finalite::pool::Pool;
use finalite::stats::{Stats, snapshot};
use finalite::{Connection, ErrorKind, OpenOptions, ffi};

use super::counters::{counted, counters, went_back};
use super::json::{compare, model};
use super::{after_a_snapshot, database, figures, json_of, named, of, own_figures, touch};
use crate::runner::cases;

cases![
    within after_a_snapshot:
    a_child_tells_of_its_own_connections,
];

use crate::common::child::in_child;

fn a_child_tells_of_its_own_connections() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    database(&path, 100);
    // What the parent has open is not for the child.
    let own_path = dir.path().join("own.db");
    database(&own_path, 100);
    let inherited = [named("inherited"), named("inherited too")];
    let pool = Pool::builder(&path).readers(1).build().unwrap();
    drop(snapshot());
    inherited.iter().for_each(touch);
    let before = snapshot();
    assert!(before.connections.len() >= 3);
    let names = |stats: &Stats| stats.connections.iter().filter_map(|c| c.name.clone()).collect::<Vec<_>>();
    assert!(in_child(|| {
        let first = snapshot();
        assert!(first.connections.is_empty() && first.pools.is_empty());
        // Those of the parent are refused, and do not become the child's by that.
        let forked = inherited[0].execute("SELECT 1", ()).unwrap_err();
        assert!(matches!(forked.kind(), ErrorKind::Forked));
        let own = OpenOptions::new().name("own").open(&own_path).unwrap();
        let stats = snapshot();
        assert_eq!(names(&stats), ["own".into()]);
        assert_eq!(of(&stats, "own").memory.bytes, own.memory().bytes);
        own.query_one::<i64>("SELECT sum(a) FROM t", ()).unwrap();
        drop(snapshot());
        touch(&own);
        let stats = snapshot();
        assert_eq!(figures(of(&stats, "own")), own_figures(&own));
        let json = json_of(&stats);
        compare(&json, &model(), "").unwrap();
        assert_eq!(json["connections"].as_array().unwrap().len(), 1);
        let counted = counted(&own, ffi::SQLITE_DBSTATUS_CACHE_HIT);
        drop(own);
        let after = snapshot();
        // It counts its own.
        assert!((counted..2 * counted + 100).contains(&after.caches.pager_hits));
        assert_eq!(went_back(&counters(&first), &counters(&after)), Vec::<String>::new());
        after.connections.is_empty()
    }));
    // The control: the parent sees its own all the while, and an answer of no is heard.
    assert_eq!(names(&snapshot()), names(&before));
    assert!(!in_child(|| !snapshot().connections.is_empty()));
    inherited.iter().for_each(touch);
    assert!(pool.close().is_clean());

    // Whatever locks the parent's threads hold, a child is not stuck.
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for n in 0..2 {
            let is_done = &is_done;
            scope.spawn(move || {
                while !is_done.load(Ordering::Relaxed) {
                    if n == 0 { drop(snapshot()) } else { drop(Connection::open_in_memory().unwrap()) }
                }
            });
        }
        let all = (0..50).all(|_| in_child(|| !snapshot().to_json().is_empty() && snapshot().connections.is_empty()));
        is_done.store(true, Ordering::Relaxed);
        assert!(all);
    });
}
