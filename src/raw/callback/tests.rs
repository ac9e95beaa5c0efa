//! Panics and re-entry, by functions.

use std::cell::RefCell;
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;

use super::late_panics;
use crate::error::{Fault, FaultKind};
use crate::raw::function::{Call, Properties, Signature};
use crate::raw::{Db, OpenFlags, OwnedDb, ffi};
use crate::value::RawParam;

/// Registers a function without arguments.
fn create(db: &Db, name: &'static CStr, function: fn() -> i64) -> Result<bool, Fault> {
    let signature = Signature { name, arguments: Some(0), properties: Properties::default() };
    db.create_scalar(signature, Location::caller(), move |call: &Call<'_>| call.answer(RawParam::Integer(function())))
}

fn broken() -> i64 {
    panic!("while the rows were made")
}

thread_local! {
    static HERE: RefCell<Option<Rc<OwnedDb>>> = const { RefCell::new(None) };
}

/// Uses the connection that is running, and another one.
fn entering() -> i64 {
    let db = HERE.try_with(|here| here.borrow().clone()).unwrap().unwrap();
    let (kind, _) = db.enter().err().unwrap().into_parts();
    let (kind_of_registering, _) = create(&db, c"other", broken).unwrap_err().into_parts();
    let (kind_of_preparing, _) = db.prepare("SELECT 1", false, Location::caller()).err().unwrap().into_parts();
    let is_refused = |kind| matches!(kind, FaultKind::Misuse(reason) if reason.contains("called this callback"));
    let other = open();
    let is_other_free = other.enter().is_ok();
    let all = [kind, kind_of_registering, kind_of_preparing].into_iter().all(is_refused) && is_other_free;
    // One that reads may enter, and registers nothing.
    let opened = db.open_to_callback();
    let may_read = db.prepare("SELECT 1", false, Location::caller()).is_ok();
    let (kind, _) = create(&db, c"other", broken).unwrap_err().into_parts();
    let may_register = !matches!(kind, FaultKind::Misuse(reason) if reason.contains("nothing is registered"));
    drop(opened);
    let is_shut_again = db.enter().is_err();
    let fine = all && may_read && !may_register && is_shut_again;
    i64::from(fine)
}

fn open() -> OwnedDb {
    let flags = OpenFlags { read_only: false, create: true, uri: false, no_follow: false };
    Db::open(c":memory:", flags, None, None, Location::caller()).unwrap()
}

fn open_with(function: fn() -> i64) -> OwnedDb {
    let db = open();
    create(&db, c"f", function).unwrap();
    db
}

/// Steps once, and returns the first column of the row.
fn step(db: &Db, sql: &str) -> i64 {
    let (statement, _) = db.prepare(sql, false, Location::caller()).unwrap();
    let mut statement = statement.unwrap();
    let mut cursor = statement.begin().unwrap().run();
    let row = cursor.step().unwrap().unwrap();
    let Ok(crate::ValueRef::Integer(value)) = row.value(0) else { panic!("not an integer") };
    value
}

fn panic_of<R>(run: impl FnOnce() -> R) -> &'static str {
    catch_unwind(AssertUnwindSafe(run)).err().unwrap().downcast_ref::<&str>().unwrap()
}

#[test]
fn rule_5_a_panic_does_not_unwind_through_c_and_is_resumed_by_the_call_that_entered_it() {
    let (db, other) = (open_with(broken), open_with(broken));
    assert_eq!(panic_of(|| step(&db, "SELECT f()")), "while the rows were made");
    // It was resumed once, and by its own connection.
    assert_eq!(step(&db, "SELECT 1"), 1);
    assert_eq!(step(&other, "SELECT 1"), 1);
}

#[test]
fn rule_5_a_panic_within_a_cleanup_waits_for_the_next_call() {
    let (db, other) = (open_with(broken), open());
    let before = late_panics();
    let cleanup = db.begin_cleanup();
    let (statement, _) = db.prepare("SELECT f()", false, Location::caller()).unwrap();
    let mut statement = statement.unwrap();
    let mut cursor = statement.begin().unwrap().run();
    let (kind, _) = cursor.step().map(drop).unwrap_err().into_parts();
    assert!(matches!(kind, FaultKind::Sqlite { code: ffi::SQLITE_ERROR, .. }), "{kind:?}");
    drop(cursor);
    drop(statement);
    // Within the cleanup the connection works on, and others are not concerned.
    assert_eq!(step(&db, "SELECT 2"), 2);
    drop(cleanup);
    assert_eq!(step(&other, "SELECT 3"), 3);
    // In a thread that panics already, a second panic would abort the process.
    struct Uses<'db>(&'db Db);
    impl Drop for Uses<'_> {
        fn drop(&mut self) {
            assert_eq!(step(self.0, "SELECT 4"), 4);
        }
    }
    let first = panic_of(|| {
        let _uses = Uses(&db);
        panic!("another")
    });
    assert_eq!(first, "another");
    assert!(db.has_parked_panic() && !other.has_parked_panic());
    assert_eq!(panic_of(|| step(&db, "SELECT 5")), "while the rows were made");
    assert!(late_panics() > before);
    assert_eq!(step(&db, "SELECT 6"), 6);
}

#[test]
fn rule_5_a_panic_that_nobody_resumed_ends_with_its_connection() {
    let mut db = open_with(broken);
    let before = late_panics();
    let cleanup = db.begin_cleanup();
    let (statement, _) = db.prepare("SELECT f()", false, Location::caller()).unwrap();
    let mut statement = statement.unwrap();
    let mut cursor = statement.begin().unwrap().run();
    assert!(cursor.step().is_err());
    drop(cursor);
    drop(statement);
    drop(cleanup);
    db.close(Vec::new()).unwrap();
    assert!(late_panics() > before);
}

#[test]
fn rule_4_a_callback_uses_its_connection_only_where_it_is_opened_to_it() {
    let db = Rc::new(open_with(entering));
    HERE.try_with(|here| here.replace(Some(Rc::clone(&db)))).unwrap();
    assert_eq!(step(&db, "SELECT f()"), 1);
    HERE.try_with(|here| here.replace(None)).unwrap();
    assert_eq!(step(&db, "SELECT 1"), 1);
}
