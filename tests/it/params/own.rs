//! `Params` of one's own.

use super::*;

/// What a closure does with the binder.
struct By<F>(F);

impl<'p, F: FnOnce(&mut Binder<'_, 'p>) -> Result<()>> Params<'p> for By<F> {
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        (self.0)(binder)
    }
}

fn by<'p, F: FnOnce(&mut Binder<'_, 'p>) -> Result<()>>(bind: F) -> By<F> {
    By(bind)
}

const SQL: &str = "SELECT ?, :b, ?, @d";

#[test]
fn positions_and_names_together() {
    let conn = open();
    let values = by(|binder| {
        assert_eq!(binder.parameter_count(), 4);
        binder.push(1)?;
        binder.set("@d", "four")?;
        binder.push(2)?;
        binder.push(3)
    });
    assert_eq!(bound(&conn, SQL, values).unwrap(), "1 2 3 four");
}

/// `push` counts what was pushed, and passes over nothing that was set by name.
#[test]
fn a_second_value_is_refused() {
    let conn = open();
    let values = by(|binder| {
        binder.set(":b", "by name")?;
        binder.set("@d", 4)?;
        binder.push(1)?;
        binder.push("by position")?;
        binder.push(3)
    });
    assert_twice(&bound(&conn, SQL, values).unwrap_err(), 2, Some(":b"));
    let values = by(|binder| {
        (1..=4).try_for_each(|value| binder.push(value))?;
        binder.set(":b", "by name")
    });
    assert_twice(&bound(&conn, SQL, values).unwrap_err(), 2, Some(":b"));
}

#[test]
fn whatever_is_missing_is_told() {
    let conn = open();
    let error = bound(&conn, SQL, by(|binder| binder.set("@d", 4))).unwrap_err();
    assert_unset(&error, 1, None);
    let values = by(|binder| {
        binder.push(1)?;
        binder.set("@d", 4)?;
        Ok(())
    });
    assert_unset(&bound(&conn, SQL, values).unwrap_err(), 2, Some(":b"));
    let values = by(|binder| {
        binder.set("@d", 4)?;
        binder.push(1)?;
        binder.push(2)
    });
    assert_unset(&bound(&conn, SQL, values).unwrap_err(), 3, None);
    assert_count(&bound(&conn, SQL, by(|binder| binder.push(1))).unwrap_err(), 4, 1);
    assert_count(&bound(&conn, SQL, by(|_| Ok(()))).unwrap_err(), 4, 0);
}

#[test]
fn too_many_pushes() {
    let conn = open();
    let error = bound(&conn, SQL, by(|binder| (0..5).try_for_each(|value| binder.push(value)))).unwrap_err();
    assert_count(&error, 4, 5);
    let named_first = by(|binder| {
        binder.set("@d", 4)?;
        (0..5).try_for_each(|value| binder.push(value))
    });
    assert_twice(&bound(&conn, SQL, named_first).unwrap_err(), 4, Some("@d"));
}

/// An error that the caller swallows leaves that parameter without a value, and the call with an error.
#[test]
fn a_swallowed_error_is_a_missing_value() {
    let conn = open();
    let values = by(|binder| {
        assert!(binder.set(":nobody", 1).is_err());
        assert!(binder.set("@d", u64::MAX).is_err());
        (1..=3).try_for_each(|value| binder.push(value))
    });
    assert_count(&bound(&conn, SQL, values).unwrap_err(), 4, 3);
    let values = by(|binder| {
        binder.set(":b", 2)?;
        assert!(binder.push(f64::NAN).is_err());
        binder.push(1)?;
        binder.set("@d", 4)
    });
    assert_unset(&bound(&conn, SQL, values).unwrap_err(), 3, None);
}

/// The ready-made forms are parts of a larger one: each takes the positions that follow.
#[test]
fn parts_of_other_forms() {
    let conn = open();
    let values = by(|binder| {
        (1, "two").bind(binder)?;
        binder.push(3)?;
        ["four"].bind(binder)
    });
    assert_eq!(bound(&conn, SQL, values).unwrap(), "1 two 3 four");
    let values = by(|binder| {
        named_params! { "@d": "by name" }.bind(binder)?;
        params_from_iter(1..=3).bind(binder)
    });
    assert_eq!(bound(&conn, SQL, values).unwrap(), "1 2 3 by name");
}

#[test]
fn its_own_error_comes_out() {
    let conn = open();
    let error = bound(&conn, "SELECT ?", by(|_| Err(Error::external("not today")))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::External(_)), "{error:?}");
    assert_eq!(error.to_string(), "not today");
}

#[test]
fn what_it_borrows_is_not_copied() {
    struct User {
        id: i64,
        picture: Vec<u8>,
    }
    impl<'p> Params<'p> for &'p User {
        fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
            binder.set(":id", self.id)?;
            binder.set(":picture", &self.picture)
        }
    }
    let conn = open();
    let user = User { id: 7, picture: vec![1, 2, 3] };
    let mut statement = conn.prepare("SELECT :id, :picture").unwrap();
    let mut rows = statement.query(&user).unwrap();
    let row = rows.next().unwrap().unwrap();
    assert_eq!(row.get::<i64>(0).unwrap(), 7);
    assert_eq!(row.get::<&[u8]>(1).unwrap().as_ptr(), user.picture.as_ptr());
}
