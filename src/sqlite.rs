//! Version and compile-time options of the SQLite library linked into this process.

use crate::raw::library;

/// Returns the version of the linked SQLite, such as `3.54.1`.
///
/// C: [sqlite3_libversion](https://sqlite.org/c3ref/libversion.html)
#[must_use]
pub fn version() -> &'static str {
    library::version()
}

/// Returns the version of the linked SQLite as a number: 3054001 for 3.54.1.
///
/// C: [sqlite3_libversion_number](https://sqlite.org/c3ref/libversion.html)
#[must_use]
pub fn version_number() -> i32 {
    library::version_number()
}

/// Returns the identifier of the source check-in that the linked SQLite was built from.
///
/// C: [sqlite3_sourceid](https://sqlite.org/c3ref/libversion.html)
#[must_use]
pub fn source_id() -> &'static str {
    library::source_id()
}

/// Returns the options that the linked SQLite was compiled with, without their `SQLITE_` prefix.
///
/// # Example
///
/// ```
/// assert!(finalite::sqlite::compile_options().any(|option| option.starts_with("THREADSAFE=")));
/// ```
///
/// C: [sqlite3_compileoption_get](https://sqlite.org/c3ref/compileoption_get.html)
pub fn compile_options() -> impl Iterator<Item = &'static str> {
    library::compile_options()
}

/// Returns the keywords of SQL, in capital letters. Some of them can be names without quotes all the same; the functions
/// of [`sql`](crate::sql) quote each name.
///
/// # Example
///
/// ```
/// use finalite::sqlite;
///
/// assert!(sqlite::keywords().any(|keyword| keyword == "SELECT"));
/// assert!(sqlite::is_keyword("select") && !sqlite::is_keyword("selected"));
/// ```
///
/// C: [sqlite3_keyword_name](https://sqlite.org/c3ref/keyword_check.html),
/// [sqlite3_keyword_count](https://sqlite.org/c3ref/keyword_check.html)
pub fn keywords() -> impl Iterator<Item = &'static str> {
    library::keywords()
}

/// Whether a word is a keyword of SQL, in letters of any case.
///
/// C: [sqlite3_keyword_check](https://sqlite.org/c3ref/keyword_check.html)
#[must_use]
pub fn is_keyword(word: &str) -> bool {
    library::is_keyword(word)
}
