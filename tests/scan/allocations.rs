//! What a scan takes from the heap of Rust.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;

use finalite::scan::ColumnType;
use finalite::{ColumnBatch, Connection, Error, OpenOptions, Statement, ValueRef, array};

/// Counts what this thread allocates; the rest is the system's.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // Gone while the thread ends.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

fn allocations() -> u64 {
    COUNT.with(Cell::get)
}

const SIZE: usize = 500;

/// Columns whose batches are all of one size. `id` runs from 0 to 4,999, and 700 and 5000 are no divisor and a multiple
/// of each other and of the batch.
const STEADY: [&str; 9] = [
    "SELECT id FROM t",
    "SELECT id * 0.5, id FROM t",
    "SELECT id, name, code FROM t",
    "SELECT CASE WHEN id % 7 THEN id END, CASE WHEN id % 5 THEN name END, NULL FROM t",
    "SELECT CASE id % 4 WHEN 0 THEN id WHEN 1 THEN name WHEN 2 THEN code END FROM t",
    "SELECT id, name FROM t ORDER BY -id",
    "SELECT a.id, b.name FROM t a JOIN t b ON a.id = b.id",
    "SELECT name AS n, count(*) FROM t GROUP BY name",
    "SELECT id FROM t LIMIT 4700",
];

fn database(encoding: &str) -> Connection {
    let conn = OpenOptions::new().pragma("encoding", encoding).open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, code BLOB);
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999)
         INSERT INTO t SELECT i, printf('größe %06d', i), CAST(printf('%04d', i) AS BLOB) FROM n;",
    )
    .unwrap();
    conn
}

/// What is allocated from one batch to the next, and from the last to the end.
fn between_batches(conn: &Connection, sql: &str, work: fn(&ColumnBatch)) -> Vec<u64> {
    // From here on the statement is in the cache.
    conn.scan(sql, ()).plan().unwrap();
    let mut marks = Vec::with_capacity(100);
    conn.scan(sql, ())
        .batches(SIZE, |batch| {
            work(batch);
            marks.push(allocations());
            Ok::<_, Error>(())
        })
        .unwrap();
    let end = allocations();
    assert!(marks.len() >= 10, "{sql}");
    marks.windows(2).map(|pair| pair[1] - pair[0]).chain([end - marks[marks.len() - 1]]).collect()
}

pub fn none_after_the_first_batch() {
    for encoding in ["UTF-8", "UTF-16le"] {
        let conn = database(encoding);
        for sql in STEADY {
            let between = between_batches(&conn, sql, |batch| {
                for column in batch.columns() {
                    assert_eq!(column.iter().filter(|value| value.is_null()).count(), column.null_count());
                    // An error would be on the heap.
                    if column.data_type() == ColumnType::Text {
                        let texts = column.as_str().unwrap().iter().flatten().count();
                        assert_eq!(texts, column.len() - column.null_count());
                    }
                }
            });
            // The end frees, and allocates nothing either.
            assert!(between.iter().all(|&count| count == 0), "{sql}, {encoding}: {between:?}");
        }
        // The control: who allocates is seen.
        let between = between_batches(&conn, STEADY[0], |batch| drop(vec![batch.len(); 2]));
        assert!(between[..between.len() - 1].iter().all(|&count| count == 1), "{between:?}");
    }
}

pub fn one_for_each_list() {
    let conn = database("UTF-8");
    let mut statement = conn.prepare("SELECT sum(value) FROM list(?)").unwrap();
    for count in [0, 5, 5000] {
        let ids: Vec<i64> = (1..=count).collect();
        let expected = (count > 0).then_some(count * (count + 1) / 2);
        let mut allocated = |list: &dyn Fn(&mut Statement<'_>) -> Option<i64>| {
            let before = allocations();
            assert_eq!(list(&mut statement), expected);
            allocations() - before
        };
        assert_eq!(allocated(&|statement| statement.query_one((array(&ids),)).unwrap()), 1, "{count} that are lent");
        let list = array(&ids);
        assert_eq!(allocated(&|statement| statement.query_one((&list,)).unwrap()), 0, "{count} again");
        // The copy is the vector's.
        assert!(allocated(&|statement| statement.query_one((array(ids.clone()),)).unwrap()) <= 2, "{count} owned");
        // The control: who makes a text of them is seen.
        if count > 1 {
            let json =
                |_: &mut Statement<'_>| conn.query_one("SELECT sum(value) FROM json_each(?)", [format!("{ids:?}")]);
            assert!(allocated(&|statement| json(statement).unwrap()) > 2);
        }
    }
}

pub fn none_per_row() {
    for encoding in ["UTF-8", "UTF-16be"] {
        let conn = database(encoding);
        for sql in STEADY {
            let mut marks = Vec::with_capacity(6000);
            conn.scan(sql, ())
                .progress(300, |_| ControlFlow::Continue(()))
                .for_each(|row| {
                    let value = row.value(row.column_count() - 1)?;
                    assert!(value.is_null() || !matches!(value, ValueRef::Text(b"")));
                    marks.push(allocations());
                    Ok::<_, Error>(())
                })
                .unwrap();
            assert_eq!(marks.first(), marks.last(), "{sql}, {encoding}");
        }
    }
}

/// NULLs that begin after the first batch: "after the first, nothing is allocated unless text or blobs need more room".
pub fn none_where_nulls_begin_late() {
    let conn = database("UTF-8");
    let between = between_batches(&conn, "SELECT CASE WHEN id < 1200 THEN id END FROM t", |_| {});
    assert!(between.iter().all(|&count| count == 0), "{between:?}");
}
