//! Decimal numbers as text.

use ::rust_decimal::Decimal;

use super::{passes_through_a_function, read, text, unread};
use crate::common::random::Random;

#[test]
fn each_digit_is_kept() {
    let mut random = Random::new(7, 0);
    for _ in 0..2000 {
        let shift = random.below(97);
        let [low, mid, high] = [0, 32, 64].map(|at| if at < shift { random.next() as u32 } else { 0 });
        let decimal = Decimal::from_parts(low, mid, high, random.one_in(2), random.below(29) as u32);
        let back: Decimal = read(decimal);
        assert_eq!((back, back.scale()), (decimal, decimal.scale()));
        assert_eq!(text(decimal), decimal.to_string());
    }
    for decimal in [Decimal::MAX, Decimal::MIN, Decimal::ZERO, Decimal::new(-100, 2)] {
        assert_eq!(text(read::<Decimal>(decimal)), decimal.to_string());
    }
}

#[test]
fn what_other_drivers_write_is_read() {
    // .NET, JDBC
    assert_eq!(read::<Decimal>("12.50"), Decimal::new(1250, 2));
    assert_eq!(read::<Decimal>("-0.1"), Decimal::new(-1, 1));
    // A column of affinity NUMERIC makes this of '12.00'.
    assert_eq!(read::<Decimal>(12), Decimal::new(12, 0));
}

#[test]
fn what_is_not_exact_is_an_error() {
    let reason = "a REAL is no exact decimal: declare the column as TEXT (rust_decimal::Decimal)";
    assert_eq!(unread::<Decimal>(0.5), reason);
    let reason = "not a decimal number of up to 28 digits (rust_decimal::Decimal)";
    for text in ["0.12345678901234567890123456789", "79228162514264337593543950336", "hunter2", "", "1e5", "NaN"] {
        assert_eq!(unread::<Decimal>(text), reason, "{text}");
    }
    assert_eq!(unread::<Decimal>(*b"1.5"), "not readable as rust_decimal::Decimal");
}

#[test]
fn functions_take_and_return_them() {
    passes_through_a_function(Decimal::new(1250, 2));
}
