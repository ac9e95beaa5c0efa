//! `#[derive(FromSql)]` and `#[derive(ToSql)]`.

use std::marker::PhantomData;

use finalite::{Connection, ConversionError, ErrorKind, FromSql, Param, ToSql, Type, ValueRef};

fn memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

#[test]
fn newtypes_are_what_they_contain() {
    #[derive(Clone, Copy, Debug, FromSql, PartialEq, ToSql)]
    struct UserId(i64);
    #[derive(Debug, FromSql, PartialEq, ToSql)]
    struct Name<'a> {
        text: &'a str,
    }
    #[derive(Debug, FromSql, PartialEq, ToSql)]
    struct Tagged<T, K>(Option<T>, #[finalite(skip)] PhantomData<K>);

    let conn = memory();
    assert_eq!(conn.query_one::<UserId>("SELECT ?", (UserId(5),)).unwrap(), UserId(5));
    assert_eq!(conn.query_one::<(UserId, String)>("SELECT ?1, typeof(?1)", (&UserId(5),)).unwrap().1, "integer");
    let length = conn.query_row("SELECT ?", (Name { text: "four" },), |row| {
        assert_eq!(row.get::<Name<'_>>(0)?, Name { text: "four" });
        Ok(row.get::<Name<'_>>(0)?.text.len())
    });
    assert_eq!(length.unwrap(), 4);
    for value in [Some(1.5), None] {
        let tagged = Tagged::<f64, u8>(value, PhantomData);
        assert_eq!(conn.query_one::<Tagged<f64, u8>>("SELECT ?", (&tagged,)).unwrap(), tagged);
    }
    let error = conn.query_one::<UserId>("SELECT 'x' AS id", ()).unwrap_err();
    assert!(error.to_string().starts_with("column 0 (id), TEXT: not readable as i64"), "{error}");
}

#[test]
fn a_newtype_is_lent_and_given_as_what_it_contains() {
    /// A type that binds in two ways.
    struct Inner;

    impl ToSql for Inner {
        fn to_sql(&self) -> Param<'_> {
            Param::text("lent")
        }

        fn into_param<'p>(self) -> Param<'p> {
            Param::text("given")
        }
    }

    #[derive(ToSql)]
    struct Outer(Inner);

    let conn = memory();
    assert_eq!(conn.query_one::<String>("SELECT ?", (&Outer(Inner),)).unwrap(), "lent");
    assert_eq!(conn.query_one::<String>("SELECT ?", (Outer(Inner),)).unwrap(), "given");
}

#[test]
fn enums_are_text() {
    #[derive(Clone, Copy, Debug, FromSql, PartialEq, ToSql)]
    #[finalite(rename_all = "snake_case")]
    enum Status {
        Open,
        InProgress,
        #[finalite(rename = "Done!")]
        Done,
    }

    let conn = memory();
    for (status, text) in [(Status::Open, "open"), (Status::InProgress, "in_progress"), (Status::Done, "Done!")] {
        assert_eq!(conn.query_one::<String>("SELECT ?", (status,)).unwrap(), text);
        assert_eq!(conn.query_one::<String>("SELECT ?", (&status,)).unwrap(), text);
        assert_eq!(conn.query_one::<Status>("SELECT ?", (text,)).unwrap(), status);
    }
    let error = conn.query_one::<Status>("SELECT ? AS state", ("s3cret",)).unwrap_err();
    let message = "column 0 (state), TEXT: not one of open, in_progress, Done! (Status)";
    assert!(error.to_string().starts_with(message), "{error}");
    assert!(!error.to_string().contains("s3cret"));
    for sql in ["SELECT 1", "SELECT NULL", "SELECT x'6f70656e'"] {
        let error = conn.query_one::<Status>(sql, ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ColumnConversion { .. }), "{sql}: {error}");
    }
    assert_eq!(conn.query_one::<Option<Status>>("SELECT NULL", ()).unwrap(), None);
}

#[test]
fn enums_with_a_repr_are_integers() {
    #[derive(Clone, Copy, Debug, FromSql, PartialEq, ToSql)]
    #[repr(i16)]
    enum Level {
        Low = -5,
        Middle,
        High = 300,
    }
    #[derive(Clone, Copy, Debug, FromSql, PartialEq, ToSql)]
    #[repr(u64)]
    enum Wide {
        Most = i64::MAX as u64,
    }
    #[derive(Clone, Copy, Debug, FromSql, PartialEq, ToSql)]
    #[repr(u8)]
    #[finalite(text)]
    enum Text {
        A = 1,
    }

    let conn = memory();
    for (level, number) in [(Level::Low, -5), (Level::Middle, -4), (Level::High, 300)] {
        assert_eq!(conn.query_one::<i64>("SELECT ?", (level,)).unwrap(), number);
        assert_eq!(conn.query_one::<Level>("SELECT ?", (number,)).unwrap(), level);
    }
    for sql in ["SELECT 0", "SELECT 65531", "SELECT 'Low'", "SELECT NULL", "SELECT -5.0"] {
        let error = conn.query_one::<Level>(sql, ()).unwrap_err();
        let ErrorKind::ColumnConversion { problem, found, .. } = error.kind() else { panic!("{sql}: {error:?}") };
        assert_eq!(problem.rust_type(), "Level");
        assert_eq!(problem.to_string() == "no variant has this number (Level)", *found == Type::Integer, "{sql}");
    }
    assert_eq!(conn.query_one::<i64>("SELECT ?", (Wide::Most,)).unwrap(), i64::MAX);
    assert_eq!(conn.query_one::<Wide>("SELECT ?", (i64::MAX,)).unwrap(), Wide::Most);
    assert_eq!(conn.query_one::<String>("SELECT ?", (Text::A,)).unwrap(), "A");
    assert_eq!(conn.query_one::<Text>("SELECT 'A'", ()).unwrap(), Text::A);
}

mod hex {
    use super::{ConversionError, Param, ValueRef};

    pub(super) fn from_sql(value: ValueRef<'_>) -> Result<u32, ConversionError> {
        u32::from_str_radix(value.as_str()?, 16).map_err(|error| ConversionError::other("hex", error))
    }

    pub(super) fn to_sql(value: &u32) -> Param<'_> {
        Param::text(format!("{value:x}"))
    }
}

#[test]
fn a_newtype_is_converted_by_a_path() {
    #[derive(Debug, FromSql, PartialEq, ToSql)]
    struct Color(#[finalite(with = hex)] u32);

    let conn = memory();
    assert_eq!(conn.query_one::<String>("SELECT ?", (Color(255),)).unwrap(), "ff");
    assert_eq!(conn.query_one::<Color>("SELECT 'ff'", ()).unwrap(), Color(255));
    assert!(conn.query_one::<Color>("SELECT 'xx'", ()).is_err());
}
