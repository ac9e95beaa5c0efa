//! Exactness of numbers, with the standard library's own rounding as the oracle.

use finalite::{FromColumn, ValueRef};

fn exact_f64(value: i64) -> Option<f64> {
    f64::from_column(ValueRef::Integer(value)).ok()
}

fn exact_f32(value: f64) -> Option<f32> {
    f32::from_column(ValueRef::Real(value)).ok()
}

mod oracle {
    pub(super) fn f64_of(value: i64) -> Option<f64> {
        let rounded = value as f64;
        (rounded as i128 == i128::from(value)).then_some(rounded)
    }

    pub(super) fn f32_of(value: f64) -> Option<f32> {
        let rounded = value as f32;
        (value.is_nan() || f64::from(rounded) == value).then_some(rounded)
    }
}

/// Numbers that spread over all exponents and bit patterns.
fn bits() -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let random = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    let edges =
        (0..64).flat_map(|shift| [1_u64 << shift, (1 << shift) - 1, (1_u64 << shift).wrapping_add(1), !(1 << shift)]);
    edges.chain(random.take(200_000))
}

#[test]
fn integer_to_f64_is_exact_or_refused() {
    for value in bits().map(u64::cast_signed).chain([0, i64::MIN, i64::MAX, 1 << 53, (1 << 53) + 1, -(1 << 53) - 1]) {
        for value in [value, value >> 11, value >> 30, value & !0x7ff] {
            assert_eq!(exact_f64(value), oracle::f64_of(value), "{value}");
        }
    }
}

#[test]
fn f64_to_f32_is_exact_or_refused() {
    let singles = bits().map(|bits| f64::from(f32::from_bits((bits & 0xffff_ffff).try_into().unwrap())));
    let doubles = bits().map(f64::from_bits);
    let subnormal = (0..23).map(|shift| f64::from(f32::from_bits(1 << shift)));
    for value in singles.chain(doubles).chain(subnormal).chain([0.0, -0.0, 0.1, f64::INFINITY, f64::MIN_POSITIVE]) {
        let (ours, oracle) = (exact_f32(value), oracle::f32_of(value));
        if value.is_nan() {
            assert!(ours.unwrap().is_nan());
        } else {
            assert_eq!(ours.map(f32::to_bits), oracle.map(f32::to_bits), "{value:e}");
        }
    }
}
