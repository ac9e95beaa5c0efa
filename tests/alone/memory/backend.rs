//! SQLite's memory from Rust's global allocator.

use finalite::memory::{self, Backend};
use finalite::{Connection, Statement};

use super::native::Block;
use super::{Moved, moved_since, nothing_is_left_by};
use crate::allocator::{held, while_refusing};
use crate::runner::cases;

cases![
    within nothing_is_left_by:
    rusts_allocator_sees_every_byte,
    each_block_goes_back_to_where_it_is_from,
    a_refused_block_is_a_failure,
];

/// Rust's bytes and SQLite's with their headers, at three instants.
#[derive(Debug, PartialEq, Eq)]
struct Instants {
    rust: [i64; 3],
    native: [i64; 3],
}

fn run(backend: Backend) -> Instants {
    memory::set_backend(backend).unwrap();
    assert_eq!(memory::stats().backend, backend);
    let (before, rust_before) = (memory::stats(), held());
    let instant = || {
        let moved = moved_since(&before);
        (held() - rust_before, moved.bytes + 16 * moved.blocks)
    };
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b);
         WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
         INSERT INTO t SELECT n, printf('row %d', n) FROM n;",
    )
    .unwrap();
    let opened = instant();
    let mut statements: Vec<Statement<'_>> =
        (0..100).map(|n| conn.prepare(&format!("SELECT b, {n} FROM t ORDER BY b")).unwrap()).collect();
    let mut rows = statements[50].query(()).unwrap();
    rows.next().unwrap().unwrap();
    let scanning = instant();
    drop(rows);
    drop(statements);
    drop(conn);
    let closed = instant();
    memory::set_backend(Backend::System).unwrap();
    Instants { rust: [opened.0, scanning.0, closed.0], native: [opened.1, scanning.1, closed.1] }
}

/// The same work on both: by as much as Rust's allocator gives out more, SQLite has.
fn rusts_allocator_sees_every_byte() {
    // What the library makes once and keeps.
    run(Backend::System);
    let apart = run(Backend::System);
    let together = run(Backend::RustGlobal);
    assert_eq!(apart.native, together.native, "SQLite asks for the same");
    assert!(apart.native[1] > apart.native[0] && apart.native[0] > 20_000);
    assert_eq!(apart.native[2], 0);
    let more = [0, 1, 2].map(|n| together.rust[n] - apart.rust[n]);
    assert_eq!(more, together.native);
}

fn each_block_goes_back_to_where_it_is_from() {
    let before = held();
    let is_held = |bytes: i64| assert_eq!(held() - before, bytes);
    let mut system = Block::filled(5_000, 1);
    is_held(0);
    memory::set_backend(Backend::RustGlobal).unwrap();
    let mut rust = Block::filled(1_000, 2);
    is_held(1_016);
    assert!(system.resize(6_000), "where it was");
    is_held(1_016);
    memory::set_backend(Backend::System).unwrap();
    assert!(rust.resize(4_000), "where it was");
    is_held(4_016);
    assert!(rust.contents()[..1_000].iter().all(|&byte| byte == 2));
    assert_eq!((rust.address() % 16, system.address() % 16), (0, 0));

    memory::set_backend(Backend::RustGlobal).unwrap();
    drop(system);
    is_held(4_016);
    memory::set_backend(Backend::System).unwrap();
    drop(rust);
    is_held(0);

    // A connection that was opened on one, works on the other, and closes on the first.
    let conn = Connection::open_in_memory().unwrap();
    for backend in [Backend::RustGlobal, Backend::System, Backend::RustGlobal, Backend::System] {
        memory::set_backend(backend).unwrap();
        conn.execute_batch("CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES (zeroblob(50000))").unwrap();
    }
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 4);
}

fn a_refused_block_is_a_failure() {
    memory::set_backend(Backend::RustGlobal).unwrap();
    let mut block = Block::filled(1_000, 7);
    let before = memory::stats();
    let (is_refused, is_grown) = while_refusing(|| (Block::new(100).is_none(), block.resize(2_000)));
    assert!(is_refused && !is_grown);
    assert_eq!(moved_since(&before), Moved { failures_system: 2, ..Moved::default() });
    assert_eq!(block.bytes(), 1_000);
    assert!(block.contents().iter().all(|&byte| byte == 7));
    drop(block);
    memory::set_backend(Backend::System).unwrap();
}
