//! Whose it is.

use std::cell::RefCell;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use finalite::{Connection, memory};

use super::native::{Block, Stranger, inside};
use super::nothing_is_left_by;
use crate::runner::cases;

cases![
    within nothing_is_left_by:
    two_connections_on_one_thread,
    a_connection_moves_between_threads,
    a_block_is_freed_while_another_is_used,
    blocks_are_freed_by_other_threads_meanwhile,
    a_callback_uses_another_connection,
    another_driver_is_nobody,
    a_callback_uses_another_driver,
    what_two_share_outlives_the_first,
    what_another_driver_shares_is_orphaned,
];

fn held(conn: &Connection) -> (u64, u64) {
    let memory = conn.memory();
    (memory.bytes, memory.blocks)
}

fn in_memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

/// One that keeps nothing more of a call like `inside` than of the one before.
fn in_use() -> Connection {
    let conn = in_memory();
    inside(&conn, || ());
    conn
}

fn in_wal(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES (1)").unwrap();
    conn
}

fn two_connections_on_one_thread() {
    let before = memory::stats();
    let (a, b) = (in_memory(), in_memory());
    assert_eq!(held(&a), held(&b), "both are new");
    let a_before = held(&a);
    b.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(500000))").unwrap();
    assert_eq!(held(&a), a_before);
    assert!(held(&b).0 > a_before.0 + 500_000);
    let b_before = held(&b);
    a.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(500000))").unwrap();
    assert_eq!(held(&b), b_before);
    assert_eq!(held(&a), held(&b), "the same work");

    let now = memory::stats();
    assert_eq!(now.unattributed_bytes, before.unattributed_bytes);
    assert_eq!(now.unattributed_blocks, before.unattributed_blocks);
    assert_eq!(now.bytes - before.bytes, held(&a).0 + held(&b).0);
    assert_eq!(now.blocks - before.blocks, held(&a).1 + held(&b).1);
    drop(a);
    assert_eq!(memory::stats().bytes - before.bytes, held(&b).0);
}

fn a_connection_moves_between_threads() {
    let reference = in_memory();
    reference.execute_batch("CREATE TABLE t(a); CREATE TABLE u(a)").unwrap();
    let before = memory::stats();
    let conn = in_memory();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    let on = |conn: Connection, work: fn(&Connection)| {
        let thread = thread::spawn(move || {
            work(&conn);
            assert!(held(&conn).0 > 0);
            conn
        });
        thread.join().unwrap()
    };
    let conn = on(conn, |conn| conn.execute_batch("CREATE TABLE u(a)").unwrap());
    assert_eq!(held(&conn), held(&reference), "as if it had stayed");
    let conn = on(conn, |conn| conn.execute_batch("INSERT INTO t VALUES (zeroblob(300000))").unwrap());
    assert_eq!(memory::stats().bytes - before.bytes, held(&conn).0);
    assert_eq!(memory::stats().blocks - before.blocks, held(&conn).1);
    thread::spawn(move || conn.close().unwrap()).join().unwrap();
    assert_eq!(memory::stats().bytes, before.bytes);
}

fn a_block_is_freed_while_another_is_used() {
    let (a, b) = (in_use(), in_use());
    let block = RefCell::new(None);
    inside(&a, || *block.borrow_mut() = Block::new(12_345));
    let (a_before, b_before) = (held(&a), held(&b));
    inside(&b, || {
        let (a_within, b_within) = (held(&a), held(&b));
        drop(block.take());
        assert_eq!(held(&a), (a_within.0 - 12_345, a_within.1 - 1));
        assert_eq!(held(&b), b_within);
    });
    assert_eq!(held(&a), (a_before.0 - 12_345, a_before.1 - 1));
    assert_eq!(held(&b), b_before);

    // Grown by nobody, and freed by nobody.
    inside(&a, || *block.borrow_mut() = Block::new(1_000));
    let before = memory::stats();
    assert!(block.borrow_mut().as_mut().unwrap().resize(3_000));
    assert_eq!(held(&a), (a_before.0 - 12_345 + 3_000, a_before.1));
    assert_eq!(memory::stats().unattributed_bytes, before.unattributed_bytes, "it stays where it was");
    drop(block.take());
    assert_eq!(held(&a), (a_before.0 - 12_345, a_before.1 - 1));
}

fn blocks_are_freed_by_other_threads_meanwhile() {
    const BLOCKS: u64 = 30_000;
    let conn = in_memory();
    inside(&conn, || {
        let before = held(&conn);
        thread::scope(|scope| {
            let senders: Vec<_> = (0..4)
                .map(|_| {
                    let (sender, receiver) = mpsc::channel::<Block>();
                    scope.spawn(move || receiver.into_iter().for_each(drop));
                    sender
                })
                .collect();
            for n in 0..BLOCKS {
                let block = Block::new(n % 500 + 1).unwrap();
                match senders.get(usize::try_from(n % 5).unwrap()) {
                    Some(sender) => sender.send(block).unwrap(),
                    None => drop(block),
                }
            }
        });
        assert_eq!(held(&conn), before, "an addition was lost");
    });
}

fn a_callback_uses_another_connection() {
    let (a, b) = (in_use(), in_use());
    b.execute_batch("CREATE TABLE t(a)").unwrap();
    let (a_before, b_before) = (held(&a), held(&b));
    inside(&a, || {
        let (a_within, b_within) = (held(&a), held(&b));
        b.execute("INSERT INTO t VALUES (zeroblob(1000000))", ()).unwrap();
        let opened = in_memory();
        assert!(held(&opened).0 > 0);
        assert_eq!(held(&a), a_within, "what B does is B's");
        assert!(held(&b).0 > b_within.0 + 1_000_000);
        // And then it is A's turn again.
        let block = Block::new(777);
        assert_eq!(held(&a), (a_within.0 + 777, a_within.1 + 1));
        drop(block);
        assert!(b.prepare("SELECT nonsense").is_err());
        inside(&b, || {
            let b_within = held(&b);
            let block = Block::new(555);
            assert_eq!(held(&a), a_within);
            assert_eq!(held(&b), (b_within.0 + 555, b_within.1 + 1));
            drop(block);
        });
        let block = Block::new(333);
        assert_eq!(held(&a), (a_within.0 + 333, a_within.1 + 1), "after an error too");
        drop(block);
    });
    assert_eq!(held(&a).1, a_before.1);
    assert!(held(&b).0 > b_before.0 + 1_000_000);
}

fn another_driver_is_nobody() {
    let conn = in_memory();
    let (before, conn_before) = (memory::stats(), held(&conn));
    let stranger = Stranger::open(Path::new(":memory:"));
    stranger.execute(c"CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(400000))");
    let now = memory::stats();
    assert_eq!(held(&conn), conn_before);
    assert!(now.bytes - before.bytes > 400_000);
    assert_eq!(now.unattributed_bytes - before.unattributed_bytes, now.bytes - before.bytes);
    assert_eq!(now.unattributed_blocks - before.unattributed_blocks, now.blocks - before.blocks);
    drop(stranger);
    assert_eq!(memory::stats().unattributed_bytes, before.unattributed_bytes);
}

/// A function that was registered past finalite: what it does is charged to the statement that calls it.
fn a_callback_uses_another_driver() {
    let conn = in_use();
    let stranger = RefCell::new(None);
    let before = held(&conn);
    inside(&conn, || *stranger.borrow_mut() = Some(Stranger::open(Path::new(":memory:"))));
    assert!(held(&conn).0 > before.0 + 10_000);
    drop(stranger.take());
    assert_eq!(held(&conn), before);
}

fn what_two_share_outlives_the_first() {
    let new = held(&in_memory());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let a = in_wal(&path);
    let b = in_wal(&path);
    assert_eq!(memory::stats().shared_bytes, 0);
    let before = memory::stats();
    let b_before = held(&b);
    let a_held = held(&a).0;
    drop(a);

    let now = memory::stats();
    let shared = now.shared_bytes;
    assert!(shared > 0 && shared < a_held, "{shared} of {a_held}");
    assert_eq!(now.orphaned_bytes, 0);
    assert_eq!(before.bytes - now.bytes, a_held - shared);
    assert_eq!(held(&b), b_before);
    assert_eq!(now.unattributed_bytes, before.unattributed_bytes, "it has an owner, though one that is closed");

    // Nobody gets the account meanwhile, on this thread or another.
    for _ in 0..3 {
        let conns = [in_memory(), in_memory()];
        assert_eq!(conns.each_ref().map(held), [new; 2]);
        thread::spawn(move || assert_eq!(held(&in_memory()), new)).join().unwrap();
        assert_eq!(memory::stats().shared_bytes, shared);
    }
    drop(b);
    let now = memory::stats();
    assert_eq!((now.shared_bytes, now.orphaned_bytes), (0, 0));
    assert_eq!([in_memory(), in_memory(), in_memory()].each_ref().map(held), [new; 3]);
}

fn what_another_driver_shares_is_orphaned() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let before = memory::stats();
    let conn = in_wal(&path);
    let stranger = Stranger::open(&path);
    stranger.execute(c"SELECT count(*) FROM t");
    let conn_held = held(&conn).0;
    drop(conn);
    let now = memory::stats();
    assert_eq!(now.shared_bytes, 0);
    assert!(now.orphaned_bytes > 0 && now.orphaned_bytes < conn_held);
    assert_eq!(now.bytes - before.bytes, now.orphaned_bytes + now.unattributed_bytes - before.unattributed_bytes);

    // As soon as one is open, it is called shared: it may be with that one.
    let other = in_memory();
    assert_eq!((memory::stats().shared_bytes, memory::stats().orphaned_bytes), (now.orphaned_bytes, 0));
    drop(other);
    drop(stranger);
    assert_eq!(memory::stats().orphaned_bytes, 0);
}
