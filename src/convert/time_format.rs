//! Formats of points in time, as types: [`UnixSeconds`], [`JulianDay`], [`IsoT`] and others.

use super::datetime::{Instant, Layout, Sealed};
use super::number::{exact_f64, exact_i64};
use super::{FromSql, Param, ToSql};
use crate::value::{ConversionError, ValueRef};

/// A type of points in time, or of dates with a time of day, to which the formats of this module apply.
///
/// A date and time without a zone is taken as UTC, as SQLite does. Types of the features `chrono`, `time` and `jiff`
/// implement it, and [`SystemTime`](std::time::SystemTime). It cannot be implemented elsewhere.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no point in time",
    note = "`SystemTime` is one, and date-times of `chrono`, `time` and `jiff` are, with the feature of that name"
)]
pub trait Moment: Sealed {}

const MILLIS_PER_DAY: f64 = 86_400_000.0;
/// 1970-01-01 as a julian day, in milliseconds.
const UNIX_EPOCH_MILLIS: i64 = 210_866_760_000_000;
/// The last millisecond of the year 9999.
const MILLIS_MAX: i64 = 464_269_060_799_999;

macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident: $encode:expr, $decode:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name<T>(pub T);

            impl<T: Moment> FromSql<'_> for $name<T> {
                fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
                    T::from_instant(($decode)(value, T::NAME)?).map(Self)
                }
            }

            impl<T: Moment> ToSql for $name<T> {
                fn to_sql(&self) -> Param<'_> {
                    self.0.to_instant().and_then(|instant| ($encode)(instant, T::NAME)).unwrap_or_else(Param::error)
                }
            }
        )*
    };
}

formats! {
    /// The INTEGER of whole seconds since 1970-01-01 00:00 UTC, as SQLite's `unixepoch()` returns it.
    ///
    /// Binding rounds towards the past, so that the order of times is kept.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use finalite::{Connection, convert::UnixSeconds};
    ///
    /// let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_999);
    /// let conn = Connection::open_in_memory()?;
    /// assert_eq!(conn.query_one::<i64>("SELECT ?", (UnixSeconds(time),))?, 1_700_000_000);
    /// let UnixSeconds(read) = conn.query_one::<UnixSeconds<SystemTime>>("SELECT unixepoch('2023-11-14')", ())?;
    /// assert_eq!(read, SystemTime::UNIX_EPOCH + Duration::from_secs(1_699_920_000));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    UnixSeconds: |instant, name| to_unix(instant, 1, name), |value, name| from_unix(value, 1, name);
    /// The INTEGER of whole milliseconds since 1970-01-01 00:00 UTC, which JDBC writes. Binding rounds towards the past.
    ///
    /// See [`UnixSeconds`] for an example.
    UnixMillis: |instant, name| to_unix(instant, 1_000, name), |value, name| from_unix(value, 1_000, name);
    /// The INTEGER of whole microseconds since 1970-01-01 00:00 UTC. Binding rounds towards the past.
    ///
    /// See [`UnixSeconds`] for an example.
    UnixMicros: |instant, name| to_unix(instant, 1_000_000, name), |value, name| from_unix(value, 1_000_000, name);
    /// The INTEGER of nanoseconds since 1970-01-01 00:00 UTC, from the year 1677 to 2262.
    ///
    /// See [`UnixSeconds`] for an example.
    UnixNanos: |instant, name| to_unix(instant, 1_000_000_000, name), |value, name| from_unix(value, 1_000_000_000, name);
    /// The REAL of days since noon in Greenwich on November 24, 4714 BC, as SQLite's `julianday()` returns it.
    ///
    /// A double is not exact enough for more than milliseconds. As in SQLite, reading takes the nearest millisecond.
    /// Binding rounds towards the past. Both are errors before that day and after the year 9999.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use finalite::{Connection, convert::JulianDay};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let epoch = JulianDay(SystemTime::UNIX_EPOCH);
    /// assert_eq!(conn.query_one::<f64>("SELECT ?", (epoch,))?, 2_440_587.5);
    /// assert_eq!(conn.query_one::<JulianDay<_>>("SELECT julianday('1970-01-01')", ())?, epoch);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    JulianDay: to_julian, from_julian;
    /// The default text of a type with a `T` in place of the blank: `YYYY-MM-DDTHH:MM:SS`, a fraction if there is one,
    /// `+00:00` or another offset if the type has one.
    ///
    /// The blank sorts before `T`: the texts of one column should all have the one or the other.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use finalite::{Connection, convert::IsoT};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let text: String = conn.query_one("SELECT ?", (IsoT(SystemTime::UNIX_EPOCH),))?;
    /// assert_eq!(text, "1970-01-01T00:00:00+00:00");
    /// # Ok::<(), finalite::Error>(())
    /// ```
    IsoT: |instant: Instant, name| instant.write(Layout { separator: 'T', ..Layout::DEFAULT }, name), Instant::read;
    /// The text without a zone that `CURRENT_TIMESTAMP` and `datetime()` return: `YYYY-MM-DD HH:MM:SS` in UTC, a
    /// fraction if there is one.
    ///
    /// Times with different offsets sort as they follow each other. The offset is not stored.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use finalite::{Connection, convert::IsoUtc};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let is_equal = conn.query_one::<bool>("SELECT datetime('1970-01-01') = ?", (IsoUtc(SystemTime::UNIX_EPOCH),))?;
    /// assert!(is_equal);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    IsoUtc: |instant: Instant, name| instant.write(Layout { has_offset: false, ..Layout::DEFAULT }, name), Instant::read;
}

/// `per_second` is a power of ten, up to nanoseconds.
fn to_unix(instant: Instant, per_second: u32, name: &'static str) -> Result<Param<'static>, ConversionError> {
    let part = i64::from(instant.nanos / (1_000_000_000 / per_second));
    let whole = i128::from(instant.seconds) * i128::from(per_second);
    let units = i64::try_from(whole + i128::from(part));
    units.map(Param::integer).map_err(|_| ConversionError::message(name, "too far from 1970 for 64 bits in this unit"))
}

fn from_unix(value: ValueRef<'_>, per_second: u32, name: &'static str) -> Result<Instant, ConversionError> {
    let ValueRef::Integer(units) = value else {
        return Err(ConversionError::wrong_type(name));
    };
    let seconds = units.div_euclid(per_second.into());
    let part = u32::try_from(units.rem_euclid(per_second.into())).map_err(|_| ConversionError::out_of_range(name))?;
    Ok(Instant { seconds, nanos: part * (1_000_000_000 / per_second), offset: Some(0) })
}

fn to_julian(instant: Instant, name: &'static str) -> Result<Param<'static>, ConversionError> {
    let millis = instant.seconds.checked_mul(1000).and_then(|millis| {
        let since_epoch = millis.checked_add((instant.nanos / 1_000_000).into())?;
        since_epoch.checked_add(UNIX_EPOCH_MILLIS).filter(|millis| (0..=MILLIS_MAX).contains(millis))
    });
    let days = millis.and_then(exact_f64).map(|millis| millis / MILLIS_PER_DAY);
    days.map(Param::real).ok_or_else(|| ConversionError::message(name, "beyond the days that SQLite counts"))
}

fn from_julian(value: ValueRef<'_>, name: &'static str) -> Result<Instant, ConversionError> {
    let days = match value {
        ValueRef::Real(days) => days,
        ValueRef::Integer(days) => exact_f64(days).ok_or_else(|| ConversionError::out_of_range(name))?,
        _ => return Err(ConversionError::wrong_type(name)),
    };
    // As SQLite reads it.
    let millis = exact_i64((days * MILLIS_PER_DAY + 0.5).floor()).filter(|millis| (0..=MILLIS_MAX).contains(millis));
    let millis = millis.ok_or_else(|| ConversionError::out_of_range(name))? - UNIX_EPOCH_MILLIS;
    from_unix(ValueRef::Integer(millis), 1_000, name)
}
