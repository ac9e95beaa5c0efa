//! The control of everything that says "nothing is left".

use finalite::{Connection, LeakCheck, memory};

use super::native::Block;
use super::nothing_is_left_by;
use super::{Moved, moved_since, nothing_left_by};
use crate::runner::cases;

cases![
    within nothing_is_left_by:
    a_leak_of_the_c_library_is_shown,
];

fn a_leak_of_the_c_library_is_shown() {
    let check = LeakCheck::new();
    let before = memory::stats();
    let conn = Connection::open_in_memory().unwrap();
    let leaked = Block::new(12_345).unwrap();
    drop(conn);
    let moved = moved_since(&before);
    assert_eq!((moved.bytes, moved.blocks), (12_345, 1));
    let now = memory::stats();
    assert_eq!(now.unattributed_bytes - before.unattributed_bytes, 12_345);
    assert_eq!(now.unattributed_blocks - before.unattributed_blocks, 1);

    let report = check.finish();
    assert!(!report.is_clean());
    let text = report.to_string();
    for line in [
        format!("native bytes: {} before, {} after", before.bytes, before.bytes + 12_345),
        format!("native blocks: {} before, {} after", before.blocks, before.blocks + 1),
    ] {
        assert!(text.contains(&line), "{line:?} is not in {text:?}");
    }
    assert_eq!(text.lines().count(), 3, "and nothing else: {text}");

    // This binary's own check sees it too, and so does one that is dropped.
    let mut second = None;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        nothing_left_by("the control", || second = Block::new(1));
    }));
    assert!(caught.is_err());
    let mut third = None;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _check = LeakCheck::new();
        third = Block::new(1);
    }));
    assert!(caught.is_err());

    drop((leaked, second, third));
    let moved = moved_since(&before);
    assert_eq!(Moved { bytes: moved.bytes, blocks: moved.blocks, ..Moved::default() }, Moved::default());
    let check = LeakCheck::new();
    drop(Block::new(12_345));
    let report = check.finish();
    assert!(report.is_clean(), "{report}");
}
