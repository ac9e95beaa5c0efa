//! Tests with a table whose rows function panics.

use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use super::super::OpenFlags;
use super::*;
use crate::error::FaultKind;

static BROKEN: Table =
    Table { name: c"broken", schema: c"CREATE TABLE x(a)", rows: || panic!("while the rows were made") };

fn open() -> Db {
    let flags = OpenFlags { read_only: false, create: true, uri: false, no_follow: false };
    let mut db = Db::open(c":memory:", flags, None, None, Location::caller()).unwrap();
    db.create_table(&BROKEN).unwrap();
    db
}

#[test]
fn rule_5_a_panic_does_not_unwind_through_c_and_waits_for_its_connection() {
    let (db, other) = (open(), open());
    let (statement, _) = db.prepare("SELECT a FROM broken", false, Location::caller()).unwrap();
    let mut statement = statement.unwrap();
    let mut cursor = statement.begin().unwrap().run();
    let (kind, _) = cursor.step().map(drop).unwrap_err().into_parts();
    assert!(matches!(kind, FaultKind::Sqlite { code: ffi::SQLITE_ERROR, .. }), "{kind:?}");
    drop(cursor);
    drop(statement);
    other.resume_panic();
    let payload = catch_unwind(AssertUnwindSafe(|| db.resume_panic())).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"while the rows were made"));
    db.resume_panic();
}

#[test]
fn a_panic_that_nobody_resumed_gives_way_to_the_next() {
    keep(1, Box::new("the first"));
    keep(2, Box::new("the second"));
    assert_eq!(CAUGHT.try_with(Slot::take).unwrap().map(|(db, _)| db), Some(2));
}
