//! What was bound before: gone, whatever became of it.

use super::*;

const SQL: &str = "SELECT ?, ?, ?, ?, ?";
const NOTHING: &str = "SELECT NULL, NULL, NULL, NULL, NULL";

/// Text in every place but one, where the value cannot be bound.
struct FailsAt<'a> {
    place: usize,
    text: &'a str,
    owned: bool,
}

impl<'p> Params<'p> for FailsAt<'p> {
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        for place in 1..=binder.parameter_count() {
            if place == self.place {
                binder.push(f64::NAN)?;
            } else if self.owned {
                binder.push(self.text.to_owned())?;
            } else {
                binder.push(self.text)?;
            }
        }
        Ok(())
    }
}

fn assert_usable(statement: &mut Statement<'_>) {
    let values = statement.query_one::<(i64, i64, i64, i64, i64)>((1, 2, 3, 4, 5)).unwrap();
    assert_eq!(values, (1, 2, 3, 4, 5));
}

#[test]
fn a_value_that_fails_takes_those_before_it_along() {
    let conn = open();
    let mut statement = conn.prepare(SQL).unwrap();
    for place in 1..=5 {
        for owned in [false, true] {
            let text = String::from("stale");
            let error = statement.query(FailsAt { place, text: &text, owned }).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::ParameterConversion { index, .. } if *index == place),
                "{error:?}"
            );
            drop(text);
            let left = bound_now(&conn);
            assert!(!left.contains("stale"), "place {place}: {left}");
            assert_eq!(&*statement.expanded_sql((1, "b", None::<i64>, 4, 5)).unwrap(), "SELECT 1, 'b', NULL, 4, 5");
            assert_usable(&mut statement);
        }
    }
}

/// The same through the other calls, which end in the same place: a value short, a name unknown.
#[test]
fn a_wrong_count_takes_those_before_it_along() {
    let conn = open();
    let mut statement = conn.prepare(SQL).unwrap();
    let text = String::from("stale");
    assert!(statement.execute(params_from_iter([&text; 4])).is_err());
    assert_eq!(bound_now(&conn), NOTHING);
    assert!(statement.execute(params_from_iter([&text; 6])).is_err());
    assert_eq!(bound_now(&conn), NOTHING);
    assert!(statement.query_one::<i64>(params_from_iter([&text; 4])).is_err());
    assert_eq!(bound_now(&conn), NOTHING);
    assert!(statement.expanded_sql(params_from_iter([&text; 4])).is_err());
    drop(text);
    assert_eq!(bound_now(&conn), NOTHING);
    assert_usable(&mut statement);
}

#[test]
fn a_cached_statement_goes_back_with_nothing_in_it() {
    let conn = open();
    let text = String::from("stale");
    assert!(conn.execute(SQL, FailsAt { place: 5, text: &text, owned: false }).is_err());
    drop(text);
    assert_eq!(bound_now(&conn), NOTHING);
    let text = String::from("stale");
    assert!(conn.query_one::<(String, String, String, String, String)>(SQL, [&text; 5]).is_ok());
    drop(text);
    assert_eq!(bound_now(&conn), NOTHING);
    assert_eq!(conn.statement_cache_stats().misses, 1);
}

#[test]
fn a_panic_half_way_takes_what_was_bound_along() {
    struct Panics<'a>(&'a str);
    impl<'p> Params<'p> for Panics<'p> {
        fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
            binder.push(self.0)?;
            binder.push(self.0.to_owned())?;
            panic!("half way")
        }
    }
    let conn = open();
    let mut statement = conn.prepare(SQL).unwrap();
    for _ in 0..2 {
        let text = String::from("stale");
        let result = catch_unwind(AssertUnwindSafe(|| statement.execute(Panics(&text))));
        assert_eq!(result.unwrap_err().downcast_ref(), Some(&"half way"));
        drop(text);
        assert_eq!(bound_now(&conn), NOTHING);
        assert_usable(&mut statement);
    }
    drop(statement);
    // From the cache: the statement unwinds back into it.
    let text = String::from("stale");
    assert!(catch_unwind(AssertUnwindSafe(|| conn.execute(SQL, Panics(&text)))).is_err());
    drop(text);
    assert_eq!(bound_now(&conn), NOTHING);
    assert_eq!(bound(&conn, SQL, [1; 5]).unwrap(), "1 1 1 1 1");
    assert_eq!(conn.statement_cache_stats().misses, 1);
}

#[test]
fn rows_that_are_dropped_leave_nothing_bound() {
    let conn = open();
    let mut statement = conn.prepare("SELECT ?, ?").unwrap();
    let text = String::from("borrowed");
    let mut rows = statement.query((&text, text.clone())).unwrap();
    assert!(rows.next().unwrap().is_some());
    assert_eq!(bound_now(&conn), "SELECT 'borrowed', 'borrowed'", "the check sees what is bound");
    assert_eq!(&*rows.expanded_sql().unwrap(), "SELECT 'borrowed', 'borrowed'");
    drop(rows);
    drop(text);
    assert_eq!(bound_now(&conn), "SELECT NULL, NULL");
    assert_eq!(&*statement.expanded_sql((1, 2)).unwrap(), "SELECT 1, 2");
    assert_eq!(bound_now(&conn), "SELECT 1, 2", "numbers borrow nothing");
}

/// Rows that are forgotten cannot clear anything; the next call does, before it does anything else.
#[test]
fn rows_that_are_forgotten_leave_nothing_to_the_next_call() {
    let conn = open();
    let mut statement = conn.prepare("SELECT ?, ?").unwrap();
    let text = String::from("borrowed");
    let mut rows = statement.query((&text, text.clone())).unwrap();
    assert!(rows.next().unwrap().is_some());
    std::mem::forget(rows);
    assert_eq!(bound_now(&conn), "SELECT 'borrowed', 'borrowed'", "nobody could clear it");
    assert!(statement.query(()).is_err());
    drop(text);
    assert_eq!(bound_now(&conn), "SELECT NULL, NULL");
    assert_eq!(statement.query_one::<(i64, i64)>((1, 2)).unwrap(), (1, 2));
}

/// What is bound is nobody else's to see.
#[test]
fn debug_output_shows_no_value() {
    struct Shows;
    impl<'p> Params<'p> for Shows {
        fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
            binder.push("hunter2")?;
            assert!(!format!("{binder:?}").contains("hunter2"));
            Ok(())
        }
    }
    let conn = open();
    let mut statement = conn.prepare("SELECT ? AS password").unwrap();
    let mut rows = statement.query(Shows).unwrap();
    assert!(!format!("{rows:?}").contains("hunter2"));
    let row = rows.next().unwrap().unwrap();
    assert_eq!(format!("{row:?}"), r#"Row { columns: ["password"] }"#);
    drop(rows);
    assert!(!format!("{statement:?}").contains("hunter2"));
}
