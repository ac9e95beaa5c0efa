//! Tests of the versions and builds of SQLite that are refused. The linked one is not refused, so `unusable` is tested
//! directly.

use super::*;

#[test]
fn a_sqlite_without_mutexes_is_refused() {
    for (is_bundled, number) in [(true, 3_054_001), (false, 3_054_001), (false, 3_000_000)] {
        assert!(unusable(0, is_bundled, number).unwrap().contains("SQLITE_THREADSAFE=0"));
    }
    // Serialized and multi-thread.
    assert_eq!(unusable(1, true, 3_054_001), None);
    assert_eq!(unusable(2, true, 3_054_001), None);
}

#[test]
fn an_old_system_library_is_refused() {
    let reason = unusable(1, false, 3_045_002).unwrap();
    assert!(reason.starts_with("the system's SQLite is 3.45.2, finalite needs 3.45.3"), "{reason}");
    assert_eq!(unusable(1, false, VERSION_MIN), None);
    // The bundled SQLite is the one that `libsqlite3-sys` was built for.
    assert_eq!(unusable(1, true, 3_045_002), None);
}

#[test]
fn the_one_that_is_linked_is_not() {
    assert!(check().is_ok());
}
