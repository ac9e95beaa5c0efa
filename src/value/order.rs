//! SQLite's order of values.

use std::cmp::Ordering;

use super::ValueRef;

/// Compares two values as `ORDER BY` does: NULL, numbers, texts by their bytes in UTF-8, blobs.
///
/// C: [Sort order](https://sqlite.org/datatype3.html#sort_order)
pub(crate) fn compare(left: ValueRef<'_>, right: ValueRef<'_>) -> Ordering {
    use ValueRef::{Blob, Integer, Null, Real, Text};
    let class = |value| match value {
        Null => 0,
        Integer(_) | Real(_) => 1,
        Text(_) => 2,
        Blob(_) => 3,
    };
    match (left, right) {
        (Integer(left), Integer(right)) => left.cmp(&right),
        // SQLite has no NaN.
        (Real(left), Real(right)) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
        (Integer(left), Real(right)) => compare_integer(left, right),
        (Real(left), Integer(right)) => compare_integer(right, left).reverse(),
        (Text(left), Text(right)) | (Blob(left), Blob(right)) => left.cmp(right),
        (left, right) => class(left).cmp(&class(right)),
    }
}

/// Compares an integer with a real that is not NaN, exactly.
pub(crate) fn compare_integer(integer: i64, real: f64) -> Ordering {
    const MANTISSA_BITS: u64 = 52;
    const EXACT: u64 = 1 << (MANTISSA_BITS + 1);
    match to_f64(integer).partial_cmp(&real) {
        // The integer may have been rounded. The real is an integer then.
        Some(Ordering::Equal) if integer.unsigned_abs() > EXACT => {
            let bits = real.to_bits();
            let mantissa = i128::from(bits & ((1 << MANTISSA_BITS) - 1) | 1 << MANTISSA_BITS);
            let exponent = (bits >> MANTISSA_BITS & 0x7ff).saturating_sub(1023 + MANTISSA_BITS);
            let sign = if real.is_sign_negative() { -1 } else { 1 };
            i128::from(integer).cmp(&(sign * (mantissa << exponent)))
        }
        ordering => ordering.unwrap_or(Ordering::Equal),
    }
}

/// Converts an integer to the nearest double.
#[inline]
pub(crate) fn to_f64(value: i64) -> f64 {
    // Both halves are exact, and their sum is rounded once.
    let high = i32::try_from(value >> 32).unwrap_or(0);
    let low = u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_and_a_real_are_compared_exactly() {
        const BIG: i64 = 1 << 62;
        for (integer, real, expected) in [
            (1, 1.0, Ordering::Equal),
            (1, 1.5, Ordering::Less),
            (-1, -1.5, Ordering::Greater),
            (0, -0.0, Ordering::Equal),
            (BIG + 1, to_f64(BIG), Ordering::Greater),
            (BIG - 1, to_f64(BIG), Ordering::Less),
            (-BIG - 1, to_f64(-BIG), Ordering::Less),
            (-BIG + 1, to_f64(-BIG), Ordering::Greater),
            (BIG, to_f64(BIG), Ordering::Equal),
            (i64::MAX, 9_223_372_036_854_775_808.0, Ordering::Less),
            (i64::MIN, -9_223_372_036_854_775_808.0, Ordering::Equal),
            (i64::MAX, f64::INFINITY, Ordering::Less),
            (i64::MIN, f64::NEG_INFINITY, Ordering::Greater),
            (9_007_199_254_740_993, 9_007_199_254_740_992.0, Ordering::Greater),
        ] {
            assert_eq!(compare_integer(integer, real), expected, "{integer} {real}");
        }
    }
}
