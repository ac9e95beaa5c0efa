//! Encodings of integers that do not fit in an INTEGER: [`U64Bits`] and [`IntegerBlob`].

use super::{FromSql, Param, ToSql};
use crate::value::{ConversionError, ValueRef};

/// A `u64` as the INTEGER with the same 64 bits: numbers beyond [`i64::MAX`] become negative.
///
/// For hashes and identifiers. Equal numbers stay equal; order and arithmetic in SQL are those of the signed number.
///
/// # Example
///
/// ```
/// use finalite::{Connection, convert::U64Bits};
///
/// let conn = Connection::open_in_memory()?;
/// assert_eq!(conn.query_one::<i64>("SELECT ?", (U64Bits(u64::MAX),))?, -1);
/// assert_eq!(conn.query_one::<U64Bits>("SELECT -1", ())?, U64Bits(u64::MAX));
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct U64Bits(pub u64);

impl FromSql<'_> for U64Bits {
    #[inline]
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        match value {
            ValueRef::Integer(bits) => Ok(Self(bits.cast_unsigned())),
            _ => Err(ConversionError::wrong_type("U64Bits")),
        }
    }
}

impl ToSql for U64Bits {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::integer(self.0.cast_signed())
    }
}

/// A `u64`, `i128` or `u128` as a BLOB that sorts as the number does: its bytes, the most significant first, with the
/// sign bit flipped if it has one.
///
/// rusqlite writes `i128` in the same way, with its feature `i128_blob`.
///
/// # Example
///
/// ```
/// use finalite::{Connection, convert::IntegerBlob};
///
/// let conn = Connection::open_in_memory()?;
/// let [low, high] = [i128::MIN, i128::MAX].map(IntegerBlob);
/// assert!(conn.query_one::<bool>("SELECT ? < ?", (low, high))?);
/// assert_eq!(conn.query_one::<IntegerBlob<i128>>("SELECT ?", (low,))?, low);
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntegerBlob<T>(pub T);

macro_rules! integer_blobs {
    ($($type:ident, $flipped:expr;)*) => {
        $(
            impl FromSql<'_> for IntegerBlob<$type> {
                fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
                    const NAME: &str = concat!("IntegerBlob<", stringify!($type), ">");
                    let ValueRef::Blob(bytes) = value else {
                        return Err(ConversionError::wrong_type(NAME));
                    };
                    let number = bytes.try_into().map($type::from_be_bytes);
                    let number = number.map_err(|_| ConversionError::length(NAME, size_of::<$type>(), bytes.len()))?;
                    Ok(Self(number ^ $flipped))
                }
            }

            impl ToSql for IntegerBlob<$type> {
                fn to_sql(&self) -> Param<'_> {
                    Param::blob((self.0 ^ $flipped).to_be_bytes().to_vec())
                }
            }
        )*
    };
}

integer_blobs! {
    u64, 0;
    i128, i128::MIN;
    u128, 0;
}
