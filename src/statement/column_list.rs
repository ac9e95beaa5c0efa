//! [`ColumnList`]: the columns that a derived type reads, for a comparison at compile time.

use std::marker::PhantomData;

use super::from_columns::FromColumns;

/// Names of the columns that a type reads.
#[expect(missing_debug_implementations, reason = "it lives within derived code")]
pub struct ColumnList {
    /// Those that have to be there, each with the message if it is not.
    pub required: &'static [(&'static str, &'static str)],
    /// Those of fields with a default value.
    pub optional: &'static [&'static str],
    /// Whether further columns are no error.
    pub ignores_extra: bool,
}

impl ColumnList {
    /// Compares the list with the columns of a statement, each of which has the message if no field reads it. Without a
    /// list, the comparison is left to the run of the statement.
    ///
    /// # Panics
    ///
    /// For a column or a field without its counterpart: at compile time.
    pub const fn check(list: Option<&Self>, columns: &[(&str, &str)]) {
        let Some(list) = list else { return };
        let mut index = 0;
        while index < list.required.len() {
            let (name, message) = list.required[index];
            assert!(contains(columns, name), "{}", message);
            index += 1;
        }
        index = 0;
        while index < columns.len() && !list.ignores_extra {
            let (name, message) = columns[index];
            let mut is_read = contains(list.required, name);
            let mut optional = 0;
            while optional < list.optional.len() {
                is_read = is_read || eq_ignore_case(list.optional[optional], name);
                optional += 1;
            }
            assert!(is_read, "{}", message);
            index += 1;
        }
    }
}

const fn contains(list: &[(&str, &str)], name: &str) -> bool {
    let mut index = 0;
    while index < list.len() {
        if eq_ignore_case(list[index].0, name) {
            return true;
        }
        index += 1;
    }
    false
}

const fn eq_ignore_case(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index].eq_ignore_ascii_case(&b[index]) {
        index += 1;
    }
    a.len() == b.len() && index == a.len()
}

/// The list of a type, if it has one: `Listed::<T>::LIST`, with [`Unlisted`] in scope.
#[expect(missing_debug_implementations, reason = "it lives within derived code")]
pub struct Listed<T>(PhantomData<T>);

impl<'row, T: FromColumns<'row>> Listed<T> {
    /// The list of the type.
    pub const LIST: Option<&'static ColumnList> = T::LIST;
}

/// The list of a type that is read in another way: none.
pub trait Unlisted {
    /// There is no list.
    const LIST: Option<&'static ColumnList> = None;
}

impl<T> Unlisted for Listed<T> {}
