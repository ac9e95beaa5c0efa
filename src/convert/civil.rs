//! Dates, times of day, and both without a zone, which the crates of dates have types for.

use super::Param;
use super::datetime::{Date, Instant, Rest, SECONDS_PER_DAY, Time, UNREADABLE};
use crate::value::{ConversionError, ValueRef};

impl Date {
    /// Returns `YYYY-MM-DD`.
    pub(super) fn write(self, name: &'static str) -> Result<Param<'static>, ConversionError> {
        let mut text = String::with_capacity(10);
        self.push(&mut text, name)?;
        Ok(Param::text(text))
    }

    /// Reads `YYYY-MM-DD`, also if it is the midnight of a date and time without a zone.
    pub(super) fn read(value: ValueRef<'_>, name: &'static str) -> Result<Self, ConversionError> {
        let instant = Instant::read(value, name)?;
        if instant.offset.is_some() || instant.seconds.rem_euclid(SECONDS_PER_DAY) != 0 || instant.nanos != 0 {
            return Err(ConversionError::message(name, "more than a date"));
        }
        Self::from_days(instant.seconds.div_euclid(SECONDS_PER_DAY)).ok_or_else(|| ConversionError::out_of_range(name))
    }
}

impl Time {
    /// Returns `HH:MM:SS`, with a fraction if there is one.
    pub(super) fn write(self, name: &'static str) -> Result<Param<'static>, ConversionError> {
        let mut text = String::with_capacity(18);
        self.push(&mut text, name)?;
        Ok(Param::text(text))
    }

    /// Reads `HH:MM`, `HH:MM:SS` and fractions of seconds.
    pub(super) fn read(value: ValueRef<'_>, name: &'static str) -> Result<Self, ConversionError> {
        let mut rest = Rest::of(value, name)?;
        let time = rest.time(name)?;
        if !rest.0.is_empty() {
            return Err(ConversionError::message(name, UNREADABLE));
        }
        Ok(time)
    }
}

impl Instant {
    /// Returns the date and time without a zone, joined of the types of a crate.
    ///
    /// # Errors
    ///
    /// For an offset other than 00:00, which the date and time would lose, and for what the types do not hold.
    pub(super) fn to_civil<D, T, R>(
        self,
        name: &'static str,
        from_date: fn(Date) -> Option<D>,
        from_time: fn(Time) -> Option<T>,
        join: fn(D, T) -> R,
    ) -> Result<R, ConversionError> {
        if self.offset.is_some_and(|offset| offset != 0) {
            return Err(ConversionError::message(name, "the text has an offset from UTC, which this type cannot hold"));
        }
        let parts = self.shown(0).and_then(|(date, time)| from_date(date).zip(from_time(time)));
        parts.map(|(date, time)| join(date, time)).ok_or_else(|| ConversionError::out_of_range(name))
    }
}

/// Implements the traits for a type of dates and one of times of day, by functions from and to the types here.
macro_rules! dates_and_times {
    ($($part:ident: $type:ty, $name:literal, $from:expr, $to:expr;)*) => {
        $(
            impl $crate::convert::FromSql<'_> for $type {
                fn from_sql(value: $crate::value::ValueRef<'_>) -> Result<Self, $crate::value::ConversionError> {
                    let part = $crate::convert::datetime::$part::read(value, $name)?;
                    ($from)(part).ok_or_else(|| $crate::value::ConversionError::out_of_range($name))
                }
            }

            impl $crate::convert::ToSql for $type {
                fn to_sql(&self) -> $crate::convert::Param<'_> {
                    let part: $crate::convert::datetime::$part = ($to)(*self);
                    part.write($name).unwrap_or_else($crate::convert::Param::error)
                }
            }
        )*
    };
}

pub(super) use dates_and_times;
