//! Integers, floats and `bool`.

use super::{ConversionError, FromColumn};
use crate::{IntoParam, Param, ToSql, ValueRef};

macro_rules! integers {
    ($($type:ident)*) => {
        $(
            impl FromColumn<'_> for $type {
                #[inline]
                fn from_column(value: ValueRef<'_>) -> Result<Self, ConversionError> {
                    match value {
                        ValueRef::Integer(value) => {
                            Self::try_from(value).map_err(|_| ConversionError::out_of_range(stringify!($type)))
                        }
                        _ => Err(ConversionError::wrong_type(stringify!($type))),
                    }
                }
            }

            impl<'p> IntoParam<'p> for $type {
                #[inline]
                fn into_param(self) -> Param<'p> {
                    match i64::try_from(self) {
                        Ok(value) => Param::integer(value),
                        Err(_) => Param::error(ConversionError::too_big_to_bind(stringify!($type), self)),
                    }
                }
            }

            to_sql_by_copy!($type);
        )*
    };
}

/// Behind a reference, it is what it is by value.
macro_rules! to_sql_by_copy {
    ($type:ident) => {
        impl ToSql for $type {
            #[inline]
            fn to_sql(&self) -> Param<'_> {
                (*self).into_param()
            }
        }
    };
}

integers! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }

impl FromColumn<'_> for f64 {
    #[inline]
    fn from_column(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        match value {
            ValueRef::Real(value) => Ok(value),
            ValueRef::Integer(value) => exact_f64(value).ok_or_else(|| ConversionError::not_exact("f64")),
            _ => Err(ConversionError::wrong_type("f64")),
        }
    }
}

impl FromColumn<'_> for f32 {
    #[inline]
    fn from_column(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        let exact = match value {
            ValueRef::Real(value) => exact_f32(value),
            ValueRef::Integer(value) => exact_f64(value).and_then(exact_f32),
            _ => return Err(ConversionError::wrong_type("f32")),
        };
        exact.ok_or_else(|| ConversionError::not_exact("f32"))
    }
}

impl<'p> IntoParam<'p> for f64 {
    #[inline]
    fn into_param(self) -> Param<'p> {
        Param::number(self, "f64")
    }
}

impl<'p> IntoParam<'p> for f32 {
    #[inline]
    fn into_param(self) -> Param<'p> {
        Param::number(f64::from(self), "f32")
    }
}

impl Param<'_> {
    /// REAL, unless it is NaN.
    #[inline]
    pub(super) fn number(value: f64, rust_type: &'static str) -> Self {
        if value.is_nan() { Self::error(ConversionError::nan(rust_type)) } else { Self::real(value) }
    }
}

to_sql_by_copy!(f64);
to_sql_by_copy!(f32);

impl FromColumn<'_> for bool {
    #[inline]
    fn from_column(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        match value {
            ValueRef::Integer(0) => Ok(false),
            ValueRef::Integer(1) => Ok(true),
            ValueRef::Integer(_) => Err(ConversionError::out_of_range("bool")),
            _ => Err(ConversionError::wrong_type("bool")),
        }
    }
}

impl<'p> IntoParam<'p> for bool {
    #[inline]
    fn into_param(self) -> Param<'p> {
        Param::integer(i64::from(self))
    }
}

to_sql_by_copy!(bool);

/// The same number as a double, if there is one.
pub(crate) fn exact_f64(value: i64) -> Option<f64> {
    let magnitude = value.unsigned_abs();
    if magnitude == 0 {
        return Some(0.0);
    }
    if 64 - magnitude.leading_zeros() - magnitude.trailing_zeros() > f64::MANTISSA_DIGITS {
        return None;
    }
    // Two halves that a double holds exactly; so does it their sum, as the bits fit.
    let [high, low] = [magnitude >> 32, magnitude & 0xffff_ffff].map(|half| u32::try_from(half).map_or(0.0, f64::from));
    let exact = high * 4_294_967_296.0 + low;
    Some(if value < 0 { -exact } else { exact })
}

/// The same number as a single, if there is one. Infinite and NaN pass.
fn exact_f32(value: f64) -> Option<f32> {
    const DROPPED_BITS: u32 = f64::MANTISSA_DIGITS - f32::MANTISSA_DIGITS;
    let bits = value.to_bits();
    let sign = u32::try_from(bits >> 63).ok()? << 31;
    let exponent = i32::try_from(bits >> 52 & 0x7ff).ok()?;
    let fraction = bits & ((1 << 52) - 1);
    let magnitude = match exponent {
        0x7ff if fraction == 0 => f32::INFINITY.to_bits(),
        0x7ff => f32::NAN.to_bits(),
        0 if fraction == 0 => 0,
        // A double's subnormals are far below the smallest single.
        0 => return None,
        _ => match exponent - 1023 {
            // A normal single: the same fraction, its lowest bits gone.
            power @ -126..=127 => {
                if fraction.trailing_zeros() < DROPPED_BITS {
                    return None;
                }
                let exponent = u32::try_from(power + 127).ok()?;
                exponent << 23 | u32::try_from(fraction >> DROPPED_BITS).ok()?
            }
            // A subnormal single: the leading 1 becomes part of the fraction.
            power @ -149..=-127 => {
                let shift = DROPPED_BITS + u32::try_from(-126 - power).ok()?;
                let whole = fraction | 1 << 52;
                if whole.trailing_zeros() < shift {
                    return None;
                }
                u32::try_from(whole >> shift).ok()?
            }
            _ => return None,
        },
    };
    Some(f32::from_bits(sign | magnitude))
}
