//! UUIDs as bytes and as text.

use ::uuid::Uuid;
use ::uuid::fmt::Hyphenated;
use finalite::Value;

use super::{passes_through_a_function, read, stored, text, unread};
use crate::common::random::Random;

const BYTES: [u8; 16] =
    [0x67, 0xe5, 0x50, 0x44, 0x10, 0xb1, 0x42, 0x6f, 0x92, 0x47, 0xbb, 0x68, 0x0e, 0x5f, 0xe0, 0xc8];

#[test]
fn both_encodings_are_read_as_both_types() {
    let uuid = Uuid::from_bytes(BYTES);
    assert_eq!(stored(uuid), Value::Blob(BYTES.into()));
    assert_eq!(text(uuid.hyphenated()), "67e55044-10b1-426f-9247-bb680e5fe0c8");
    for written in [
        Value::from(BYTES),
        "67e55044-10b1-426f-9247-bb680e5fe0c8".into(),
        // .NET
        "67E55044-10B1-426F-9247-BB680E5FE0C8".into(),
        "67e5504410b1426f9247bb680e5fe0c8".into(),
    ] {
        assert_eq!(read::<Uuid>(&written), uuid, "{written:?}");
        assert_eq!(read::<Hyphenated>(&written), uuid.hyphenated(), "{written:?}");
    }
}

#[test]
fn round_trips() {
    let mut random = Random::new(6, 0);
    for _ in 0..500 {
        let uuid = Uuid::from_slice(&random.bytes(16)).unwrap();
        assert_eq!(read::<Uuid>(uuid), uuid);
        assert_eq!(read::<Uuid>(&uuid), uuid);
        assert_eq!(read::<Uuid>(uuid.hyphenated()), uuid);
    }
}

#[test]
fn other_values_are_errors() {
    assert_eq!(unread::<Uuid>(*b"hunter2"), "7 bytes, not 16 (uuid::Uuid)");
    assert_eq!(unread::<Uuid>("hunter2"), "not a UUID (uuid::Uuid)");
    // 16 bytes of text are no UUID.
    assert_eq!(unread::<Uuid>("sixteen letters."), "not a UUID (uuid::Uuid)");
    assert_eq!(unread::<Hyphenated>(7), "not readable as uuid::fmt::Hyphenated");
    assert_eq!(unread::<Uuid>(None::<i64>), "not readable as uuid::Uuid");
}

#[test]
fn functions_take_and_return_them() {
    let uuid = Uuid::from_bytes(BYTES);
    passes_through_a_function(uuid);
    passes_through_a_function(uuid.hyphenated());
}
