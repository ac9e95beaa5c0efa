//! Which SQLite is refused. The one that is linked here is none of them, so the decision is asked.

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
    // What is bundled is what `libsqlite3-sys` was made for.
    assert_eq!(unusable(1, true, 3_045_002), None);
}

#[test]
fn the_one_that_is_linked_is_not() {
    assert!(check().is_ok());
}
