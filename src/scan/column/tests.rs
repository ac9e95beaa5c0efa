//! Growth of a column whose expected size is known.

use super::*;

/// Pushes texts, and counts the reallocations of their bytes.
fn moves<'a>(expected: Expected, texts: impl Iterator<Item = Option<&'a [u8]>>) -> (usize, Bytes) {
    let mut column = ColumnBuffer::affinity(0, "a".into(), ColumnType::Text, OnTypeMismatch::Dynamic);
    column.expect(expected);
    let (mut moves, mut capacity) = (0, 0);
    for text in texts {
        column.push(text.map_or(ValueRef::Null, ValueRef::Text)).unwrap();
        let Data::Text(bytes) = &column.data else { panic!("no longer a column of text") };
        moves += usize::from(bytes.bytes.capacity() != capacity);
        capacity = bytes.bytes.capacity();
    }
    let Data::Text(bytes) = column.data else { panic!("no longer a column of text") };
    (moves, bytes)
}

const ROWS: u64 = 200_000;

/// Checks texts of less than a byte on average, for which each value could cause a reallocation.
#[test]
fn a_column_that_is_mostly_null_moves_a_few_times() {
    let texts = (0..ROWS).map(|row| (row % 3 == 0).then_some(&b"x"[..]));
    let (moves, bytes) = moves(Expected { rows: ROWS, bytes: 8 << 20 }, texts);
    assert_eq!(bytes.bytes.len(), 66_667);
    assert!(moves < 20, "{moves}");
}

#[test]
fn texts_that_are_as_long_as_the_first_are_not_moved_again() {
    let texts = (0..ROWS).map(|_| Some(&b"a text of 18 bytes"[..]));
    let (moves, bytes) = moves(Expected { rows: ROWS, bytes: 64 << 20 }, texts);
    assert_eq!(bytes.bytes.len(), 18 * 200_000);
    // The reallocations up to the number of values used for the estimate, and one after that.
    assert!(moves < 14, "{moves}");
    assert!(bytes.bytes.capacity() < 5 << 20, "{}", bytes.bytes.capacity());
}

/// Checks that the capacity is limited by the size of the database.
#[test]
fn a_long_text_among_short_ones_promises_nothing() {
    let long = vec![b'a'; 1 << 20];
    let texts = (0..1_000).map(|row| Some(if row == 500 { &long[..] } else { b"short" }));
    let (_, bytes) = moves(Expected { rows: 1 << 20, bytes: 3 << 20 }, texts);
    assert!(bytes.bytes.capacity() < 16 << 20, "{}", bytes.bytes.capacity());
}
