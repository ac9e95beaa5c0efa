//! Subscriptions that end: by themselves, by each other, on other threads, with their connection, never.

use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Weak};
use std::thread;

use finalite::handles::HandleKind;
use finalite::{LeakCheck, handles};

use super::*;

type Shelf = Arc<Mutex<Vec<Subscription>>>;

/// Whether a closure was dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn witness() -> (Arc<AtomicBool>, Dropped) {
    let is_dropped = Arc::new(AtomicBool::new(false));
    (Arc::clone(&is_dropped), Dropped(is_dropped))
}

#[test]
fn rule_14_a_closure_that_runs_ends_itself() {
    let conn = open();
    conn.execute("INSERT INTO t VALUES (1), (2)", ()).unwrap();
    let check = LeakCheck::for_connection(&conn);
    let shelf = Shelf::default();
    let own = Arc::clone(&shelf);
    let (calls, counted) = counter();
    let (is_dropped, dropped) = witness();
    let subscription = conn
        .on_update(move |_| {
            let kept = &dropped;
            bump(&counted);
            own.lock().unwrap().clear();
            // Ended, and still whole.
            assert!(!kept.0.load(Ordering::SeqCst));
        })
        .unwrap();
    shelf.lock().unwrap().push(subscription);
    conn.execute("INSERT INTO t VALUES (1), (2)", ()).unwrap();
    assert_eq!(count(&calls), 1);
    assert!(is_dropped.load(Ordering::SeqCst));
    conn.close().unwrap();
    let report = check.finish();
    assert!(report.is_clean(), "{report}");
}

#[test]
fn rule_14_a_closure_ends_the_others_while_it_runs() {
    let conn = open();
    let shelf = Shelf::default();
    let (before, after) = (counter(), counter());
    let counted = before.1;
    shelf.lock().unwrap().push(conn.on_update(move |_| bump(&counted)).unwrap());
    let all = Arc::clone(&shelf);
    let (own, counted) = counter();
    let ending = conn
        .on_update(move |_| {
            bump(&counted);
            all.lock().unwrap().clear();
        })
        .unwrap();
    let counted = after.1;
    shelf.lock().unwrap().push(conn.on_update(move |_| bump(&counted)).unwrap());
    conn.execute("INSERT INTO t VALUES (1), (2)", ()).unwrap();
    assert_eq!((count(&before.0), count(&own), count(&after.0)), (1, 2, 0));
    drop(ending);
    conn.execute("INSERT INTO t VALUES (3)", ()).unwrap();
    assert_eq!(count(&own), 2);
}

#[test]
fn rule_14_a_closure_whose_drop_ends_another() {
    let conn = open();
    let (calls, counted) = counter();
    let inner = conn.on_update(move |_| bump(&counted)).unwrap();
    let outer = conn.on_update(move |_| assert!(inner.is_active())).unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    drop(outer);
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    assert_eq!(count(&calls), 1);
}

#[test]
fn rule_14_a_closure_whose_drop_panics_leaves_the_connection_whole() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let conn = open();
    let bomb = Bomb;
    let subscription = conn.on_update(move |_| _ = &bomb).unwrap();
    drop(subscription);
    let shelf = Shelf::default();
    let (own, bomb) = (Arc::clone(&shelf), Bomb);
    let running = conn
        .on_update(move |_| {
            let _bomb = &bomb;
            own.lock().unwrap().clear();
        })
        .unwrap();
    shelf.lock().unwrap().push(running);
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    let bomb = Bomb;
    conn.on_update(move |_| _ = &bomb).unwrap().keep();
    conn.close().unwrap();
}

#[test]
fn rule_14_another_thread_ends_a_closure_while_it_runs() {
    let conn = open();
    let gate = Arc::new((Mutex::new(0), Condvar::new()));
    let inner = Arc::clone(&gate);
    let (is_dropped, dropped) = witness();
    let subscription = conn
        .on_update(move |_| {
            let kept = &dropped;
            let (stage, changed) = &*inner;
            *stage.lock().unwrap() = 1;
            changed.notify_all();
            // Until the other thread has ended this closure.
            drop(changed.wait_while(stage.lock().unwrap(), |stage| *stage < 2).unwrap());
            assert!(!kept.0.load(Ordering::SeqCst));
        })
        .unwrap();
    let ended = thread::spawn(move || {
        let (stage, changed) = &*gate;
        drop(changed.wait_while(stage.lock().unwrap(), |stage| *stage < 1).unwrap());
        drop(subscription);
        *stage.lock().unwrap() = 2;
        changed.notify_all();
    });
    conn.execute("INSERT INTO t VALUES (1), (2), (3)", ()).unwrap();
    ended.join().unwrap();
    assert!(is_dropped.load(Ordering::SeqCst));
}

#[test]
fn rule_14_threads_end_closures_while_their_connection_runs() {
    for _ in 0..20 {
        let conn = open();
        let (send, subscriptions) = mpsc::channel::<Subscription>();
        let ending = thread::spawn(move || {
            for subscription in subscriptions {
                drop(subscription);
            }
        });
        for n in 0..20 {
            let (_calls, counted) = counter();
            let bumps = Arc::clone(&counted);
            send.send(conn.on_update(move |_| bump(&bumps)).unwrap()).unwrap();
            send.send(conn.on_trace(TraceEvents::ALL, move |_| bump(&counted)).unwrap()).unwrap();
            send.send(conn.on_progress(1, || ()).unwrap()).unwrap();
            send.send(conn.on_commit(|| ()).unwrap()).unwrap();
            send.send(conn.set_authorizer(|_| Access::Allow).unwrap()).unwrap();
            conn.execute("INSERT INTO t VALUES (?)", (n,)).unwrap();
        }
        if conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap() % 2 == 0 {
            drop(conn);
        }
        drop(send);
        ending.join().unwrap();
    }
}

#[test]
fn closures_live_until_the_connection_closes_if_nothing_ends_them() {
    let conn = open();
    let line = line!();
    let (is_kept_dropped, kept) = witness();
    let (is_forgotten_dropped, forgotten) = witness();
    let (is_held_dropped, held) = witness();
    conn.on_update(move |_| _ = &kept).unwrap().keep();
    // Forgotten, and still reachable, so that a leak checker does not report its own bytes.
    static FORGOTTEN: Mutex<Vec<Subscription>> = Mutex::new(Vec::new());
    FORGOTTEN.lock().unwrap().push(conn.on_update(move |_| _ = &forgotten).unwrap());
    let held = conn.on_update(move |_| _ = &held).unwrap();
    let callbacks = || {
        let mut sites = handles::live().records;
        sites.retain(|record| {
            let site = record.opened_at;
            record.kind == HandleKind::Callback && site.file() == file!() && (line..line + 12).contains(&site.line())
        });
        sites.iter().map(|record| record.sql.as_deref().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(callbacks(), ["on_update"; 3]);
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    let all = [&is_kept_dropped, &is_forgotten_dropped, &is_held_dropped];
    assert!(all.iter().all(|flag| !flag.load(Ordering::SeqCst)) && held.is_active());
    conn.close().unwrap();
    assert!(all.iter().all(|flag| flag.load(Ordering::SeqCst)) && !held.is_active());
    assert!(callbacks().is_empty());
}

#[test]
fn a_subscription_outlives_its_connection() {
    let conn = open();
    let (weak, subscription) = {
        let data = Arc::new(5);
        (Arc::downgrade(&data), conn.on_update(move |_| assert_eq!(*data, 5)).unwrap())
    };
    drop(conn);
    assert_eq!(Weak::strong_count(&weak), 0);
    assert!(!subscription.is_active());
    assert_eq!(format!("{subscription:?}"), "Subscription { is_active: false, .. }");
    drop(subscription);
}

#[test]
fn hooks_move_with_their_connection_and_go_without_a_pool() {
    let conn = open();
    let (calls, counted) = counter();
    let subscription = conn.on_update(move |_| bump(&counted)).unwrap();
    let conn = thread::spawn(move || {
        conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
        conn
    })
    .join()
    .unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    assert_eq!(count(&calls), 2);
    drop((conn, subscription));
    // A pool does not lend a connection on which a caller has subscribed.
    let pool = finalite::pool::Pool::in_memory("hooks_move").readers(0).build().unwrap();
    let first = pool.writer().unwrap();
    first.on_update(|_| ()).unwrap().keep();
    drop(first);
    assert_eq!(pool.status().destroyed(finalite::pool::DestroyReason::Registered), 1);
}
