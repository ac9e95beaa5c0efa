//! The SQLite that the tests run on.

use finalite::sqlite;

/// Whether scans read pages, and the write-ahead log is read directly: a SQLite with assertions (`.ci/debug.sh`) treats
/// every cache as one that may be shared, with which neither is done.
pub fn reads_pages() -> bool {
    !sqlite::compile_options().any(|option| option == "DEBUG")
}
