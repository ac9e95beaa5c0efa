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
