//! Conversions of integers, floating-point numbers and `bool`.

use std::num::NonZero;

use super::{FromSql, Param, ToSql};
use crate::value::{ConversionError, ValueRef};

macro_rules! integers {
    ($($type:ident)*) => {
        $(
            impl FromSql<'_> for $type {
                #[inline]
                fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
                    match value {
                        ValueRef::Integer(value) => {
                            Self::try_from(value).map_err(|_| ConversionError::out_of_range(stringify!($type)))
                        }
                        _ => Err(ConversionError::wrong_type(stringify!($type))),
                    }
                }
            }

            impl ToSql for $type {
                #[inline]
                fn to_sql(&self) -> Param<'_> {
                    match i64::try_from(*self) {
                        Ok(value) => Param::integer(value),
                        Err(_) => Param::error(ConversionError::too_big_to_bind(stringify!($type), self)),
                    }
                }
            }

            impl FromSql<'_> for NonZero<$type> {
                fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
                    const NAME: &str = concat!("NonZero<", stringify!($type), ">");
                    match value {
                        ValueRef::Integer(value) => $type::try_from(value)
                            .ok()
                            .and_then(Self::new)
                            .ok_or_else(|| ConversionError::out_of_range(NAME)),
                        _ => Err(ConversionError::wrong_type(NAME)),
                    }
                }
            }

            impl ToSql for NonZero<$type> {
                fn to_sql(&self) -> Param<'_> {
                    self.get().into_param()
                }
            }
        )*
    };
}

integers! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }

impl FromSql<'_> for f64 {
    #[inline]
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        match value {
            ValueRef::Real(value) => Ok(value),
            ValueRef::Integer(value) => exact_f64(value).ok_or_else(|| ConversionError::not_exact("f64")),
            _ => Err(ConversionError::wrong_type("f64")),
        }
    }
}

impl FromSql<'_> for f32 {
    #[inline]
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        match value {
            ValueRef::Real(value) => {
                let nearest = nearest_f32(value);
                if nearest.is_infinite() && value.is_finite() {
                    return Err(ConversionError::out_of_range("f32"));
                }
                Ok(nearest)
            }
            ValueRef::Integer(value) => {
                let exact = exact_f64(value).filter(|&value| f64::from(nearest_f32(value)) == value);
                exact.map(nearest_f32).ok_or_else(|| ConversionError::not_exact("f32"))
            }
            _ => Err(ConversionError::wrong_type("f32")),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest; infinity for what is beyond")]
fn nearest_f32(value: f64) -> f32 {
    value as f32
}

impl ToSql for f64 {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::number(*self, "f64")
    }
}

impl ToSql for f32 {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::number(f64::from(*self), "f32")
    }
}

impl Param<'_> {
    /// Returns a REAL, or an error for NaN.
    #[inline]
    pub(super) fn number(value: f64, rust_type: &'static str) -> Self {
        if value.is_nan() { Self::error(ConversionError::nan(rust_type)) } else { Self::real(value) }
    }
}

impl FromSql<'_> for bool {
    #[inline]
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        match value {
            ValueRef::Integer(0) => Ok(false),
            ValueRef::Integer(1) => Ok(true),
            ValueRef::Integer(_) => Err(ConversionError::out_of_range("bool")),
            _ => Err(ConversionError::wrong_type("bool")),
        }
    }
}

impl ToSql for bool {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::integer(i64::from(*self))
    }
}

/// Returns the integer as an `f64`, if that is exact.
pub(crate) fn exact_f64(value: i64) -> Option<f64> {
    let magnitude = value.unsigned_abs();
    if magnitude == 0 {
        return Some(0.0);
    }
    if 64 - magnitude.leading_zeros() - magnitude.trailing_zeros() > f64::MANTISSA_DIGITS {
        return None;
    }
    // Each half is exact in a double. So is their sum, because its significant bits fit.
    let [high, low] = [magnitude >> 32, magnitude & 0xffff_ffff].map(|half| u32::try_from(half).map_or(0.0, f64::from));
    let exact = high * 4_294_967_296.0 + low;
    Some(if value < 0 { -exact } else { exact })
}

/// Returns the integer that the `f64` is, if it is one from 0 to 2^52.
pub(super) fn exact_i64(value: f64) -> Option<i64> {
    // From here on to its double, the last bit of a double is worth 1.
    const BASE: f64 = 4_503_599_627_370_496.0;
    let is_exact = value.fract() == 0.0 && (0.0..BASE).contains(&value);
    is_exact.then(|| ((value + BASE).to_bits() - BASE.to_bits()).cast_signed())
}
