//! Numbers that are exact or refused, and the one conversion that rounds.

use finalite::{FromSql, ValueRef};

fn exact_f64(value: i64) -> Option<f64> {
    f64::from_sql(ValueRef::Integer(value)).ok()
}

fn exact_f32(value: i64) -> Option<f32> {
    f32::from_sql(ValueRef::Integer(value)).ok()
}

fn rounded_f32(value: f64) -> Option<f32> {
    f32::from_sql(ValueRef::Real(value)).ok()
}

mod oracle {
    pub(super) fn f64_of(value: i64) -> Option<f64> {
        let rounded = value as f64;
        (rounded as i128 == i128::from(value)).then_some(rounded)
    }

    pub(super) fn f32_of(value: i64) -> Option<f32> {
        let rounded = value as f32;
        (rounded as i128 == i128::from(value)).then_some(rounded)
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
fn integer_to_f32_is_exact_or_refused() {
    for value in bits().map(u64::cast_signed).chain([0, i64::MIN, i64::MAX, 1 << 24, (1 << 24) + 1, -(1 << 24) - 1]) {
        for value in [value, value >> 40, value >> 30, value & !0xff_ffff_ffff] {
            assert_eq!(exact_f32(value), oracle::f32_of(value), "{value}");
        }
    }
}

/// No neighbour is nearer, and of two that are as near the even one is taken: what IEEE 754 asks for.
#[test]
fn f64_to_f32_is_rounded_to_the_nearest() {
    let singles = bits().map(|bits| f64::from(f32::from_bits((bits & 0xffff_ffff).try_into().unwrap())));
    let halves = bits().map(|bits| {
        let single = f32::from_bits((bits & 0x7eff_ffff).try_into().unwrap());
        f64::midpoint(single.into(), single.next_up().into())
    });
    let doubles = bits().map(f64::from_bits);
    for value in singles.chain(halves).chain(doubles).chain([0.0, -0.0, 0.1, f64::MIN_POSITIVE]) {
        let Some(rounded) = rounded_f32(value) else {
            assert!(value.is_finite() && value.abs() > f64::from(f32::MAX), "{value:e}");
            continue;
        };
        if !value.is_finite() {
            assert!(f64::from(rounded) == value || rounded.is_nan() && value.is_nan(), "{value:e}");
            continue;
        }
        assert_eq!(rounded.is_sign_negative(), value.is_sign_negative(), "{value:e}");
        let distance = |single: f32| (f64::from(single) - value).abs();
        for neighbour in [rounded.next_up(), rounded.next_down()] {
            let is_tie = distance(neighbour) == distance(rounded);
            assert!(distance(rounded) < distance(neighbour) || is_tie && rounded.to_bits() % 2 == 0, "{value:e}");
        }
    }
}
