//! Derived code in programs that name things as they like, and that refuse what they do not want to see.

use finalite::Connection;

/// Names of the prelude are not there, or are the program's own.
#[allow(non_camel_case_types, clippy::struct_field_names, clippy::type_complexity)]
mod without_prelude {
    #![no_implicit_prelude]
    #![deny(warnings, deprecated, unsafe_code, unused_qualifications, elided_lifetimes_in_paths)]
    #![deny(missing_docs, trivial_casts, trivial_numeric_casts, unused_lifetimes, unreachable_code)]
    #![deny(clippy::pedantic, clippy::nursery)]

    pub(super) struct Option;
    pub(super) struct Result;
    pub(super) struct String;
    pub(super) struct Param;
    pub(super) struct Vec;

    /// Fields with the names of what derived code has at hand.
    #[derive(::finalite::FromRow, ::finalite::Params)]
    pub struct Fields {
        /// a
        pub row: i64,
        /// a
        pub cells: i64,
        /// a
        pub binder: i64,
        /// a
        pub value: i64,
        /// a
        pub names: i64,
        /// a
        pub name: i64,
        /// a
        pub column: i64,
        /// a
        pub finder: i64,
        /// a
        #[finalite(default)]
        pub column_0: i64,
        /// a
        #[deprecated]
        pub r#type: i64,
    }

    /// Raw names everywhere, and a parameter of each kind.
    #[derive(::finalite::FromRow, ::finalite::Params)]
    pub struct r#struct<'p, r#type: ?::core::marker::Sized, const N: usize>
    where
        r#type: 'p,
        &'p r#type: ::core::marker::Copy,
    {
        /// a
        pub r#fn: &'p r#type,
        /// a
        pub bytes: [u8; N],
    }

    /// Lifetimes of the names that derived code would give.
    #[derive(::finalite::FromRow, ::finalite::Params)]
    pub struct Lifetimes<'row, T> {
        /// a
        pub text: &'row str,
        /// a
        #[finalite(json)]
        pub json: T,
        /// a
        #[finalite(skip)]
        pub function: ::core::marker::PhantomData<for<'p, 'lent> fn(&'p T, &'lent T) -> (&'p T, &'lent T)>,
    }

    /// Two lifetimes, for parameters alone.
    #[derive(::finalite::Params)]
    pub struct Lent<'lent, 'p, T> {
        /// a
        pub text: &'p str,
        /// a
        #[finalite(json)]
        pub json: &'lent T,
    }

    /// A newtype of a lifetime.
    #[derive(::finalite::FromSql, ::finalite::ToSql)]
    pub struct Text<'p, T: ?::core::marker::Sized>(pub &'p T);

    /// A newtype by JSON.
    #[derive(::finalite::FromSql, ::finalite::ToSql)]
    pub struct Json<T>(#[finalite(json)] pub T);

    /// Raw variants, and an old one.
    #[derive(::finalite::FromSql, ::finalite::ToSql)]
    pub enum r#enum {
        /// a
        r#match,
        /// a
        #[deprecated]
        Old,
    }

    /// The same as integers.
    #[derive(::finalite::FromSql, ::finalite::ToSql)]
    #[repr(u64)]
    pub enum r#impl {
        /// a
        r#mod = 7,
        /// a
        #[deprecated]
        Old,
    }

    pub(super) const fn uses() -> (Option, Result, String, Param, Vec) {
        (Option, Result, String, Param, Vec)
    }
}

#[test]
fn names_of_the_program_stay_its_own() {
    let _ = without_prelude::uses();
    let conn = Connection::open_in_memory().unwrap();
    let sql =
        "SELECT 1 AS row, 2 AS cells, 3 AS binder, 4 AS value, 5 AS names, 6 AS name, 7 AS \"column\", 8 AS finder,
                      9 AS type";
    let names: without_prelude::Fields = conn.query_one(sql, ()).unwrap();
    let sum = "SELECT :row + :cells + :binder + :value + :names + :name + :column + :finder + :column_0 + :type";
    assert_eq!(conn.query_one::<i64>(sum, &names).unwrap(), 45);

    let raw = without_prelude::r#struct { r#fn: "text", bytes: [1, 2] };
    let read = conn.query_row("SELECT :fn AS fn, :bytes AS bytes", &raw, |row| {
        let read: without_prelude::r#struct<'_, str, 2> = finalite::FromRow::from_row(row)?;
        Ok((read.r#fn.len(), read.bytes))
    });
    assert_eq!(read.unwrap(), (4, [1, 2]));

    let function = std::marker::PhantomData;
    let lifetimes = without_prelude::Lifetimes { text: "text", json: vec![1, 2], function };
    let read = conn.query_row("SELECT :text AS text, :json AS json", &lifetimes, |row| {
        let read: without_prelude::Lifetimes<'_, Vec<i64>> = finalite::FromRow::from_row(row)?;
        Ok((read.text.len(), read.json))
    });
    assert_eq!(read.unwrap(), (4, vec![1, 2]));
    let lent = without_prelude::Lent { text: "text", json: &[1, 2] };
    assert_eq!(conn.query_one::<String>("SELECT :text || :json", &lent).unwrap(), "text[1,2]");

    let read = conn.query_row("SELECT ?", (without_prelude::Text("x"),), |row| {
        row.get::<without_prelude::Text<'_, str>>(0).map(|text| text.0.to_owned())
    });
    assert_eq!(read.unwrap(), "x");
    let json: without_prelude::Json<Vec<i64>> = conn.query_one("SELECT ?", (without_prelude::Json([3]),)).unwrap();
    assert_eq!(json.0, [3]);
    let values = (without_prelude::r#enum::r#match, without_prelude::r#impl::r#mod);
    assert_eq!(conn.query_one::<(String, i64)>("SELECT ?, ?", values).unwrap(), ("match".into(), 7));
    conn.query_one::<(without_prelude::r#enum, without_prelude::r#impl)>("SELECT 'match', 7", ()).unwrap();
}

/// A crate that re-exports finalite, for programs that have no dependency of that name.
#[test]
fn finalite_may_be_elsewhere() {
    mod framework {
        pub(super) use ::finalite as database;
    }
    #[derive(Debug, finalite::FromRow, finalite::Params, PartialEq)]
    #[finalite(crate = framework::database)]
    struct User {
        id: i64,
        role: Role,
    }
    #[derive(Debug, finalite::FromSql, finalite::ToSql, PartialEq)]
    #[finalite(crate = framework::database, rename_all = "lowercase")]
    enum Role {
        Admin,
    }

    let conn = Connection::open_in_memory().unwrap();
    let user = User { id: 1, role: Role::Admin };
    assert_eq!(conn.query_one::<User>("SELECT :role AS role, :id AS id", &user).unwrap(), user);
}
