//! Every cell of the two tables in the documentation of `finalite::convert`, one test each.
//!
//! A test's name is its cell: `reading::as_i8::text` reads a TEXT as `i8`, `reading::as_i8::option::text` as
//! `Option<i8>`, and `binding::of_u64::by_reference` binds a `&u64`. The tests in `tables` read the documentation and
//! see to it that the rows here and there are the same.

mod binding;
mod reading;
mod tables;

use finalite::{Connection, Type};

const CLASSES: [Type; 5] = [Type::Null, Type::Integer, Type::Real, Type::Text, Type::Blob];

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}
