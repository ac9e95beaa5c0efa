//! Conversions of the types of the crate `jiff`.

use ::jiff::{Timestamp, civil};

use super::civil::dates_and_times;
use super::datetime::{Date, Instant, Sealed, Time, moments};
use crate::value::ConversionError;

/// A part of a date or time, none of which is negative but the year.
fn part(number: i8) -> u8 {
    number.unsigned_abs()
}

fn to_date(date: civil::Date) -> Date {
    Date { year: date.year().into(), month: part(date.month()), day: part(date.day()) }
}

fn from_date(date: Date) -> Option<civil::Date> {
    let [month, day] = [date.month, date.day].map(i8::try_from);
    civil::Date::new(date.year.try_into().ok()?, month.ok()?, day.ok()?).ok()
}

fn to_time(time: civil::Time) -> Time {
    let [hour, minute, second] = [time.hour(), time.minute(), time.second()].map(part);
    Time { hour, minute, second, nanos: time.subsec_nanosecond().unsigned_abs() }
}

fn from_time(time: Time) -> Option<civil::Time> {
    let [hour, minute, second] = [time.hour, time.minute, time.second].map(i8::try_from);
    civil::Time::new(hour.ok()?, minute.ok()?, second.ok()?, time.nanos.try_into().ok()?).ok()
}

dates_and_times! {
    Date: civil::Date, "jiff::civil::Date", from_date, to_date;
    Time: civil::Time, "jiff::civil::Time", from_time, to_time;
}

impl Sealed for Timestamp {
    const NAME: &'static str = "jiff::Timestamp";

    /// jiff counts both parts towards zero.
    fn to_instant(&self) -> Result<Instant, ConversionError> {
        let (seconds, nanos) = match (self.as_second(), self.subsec_nanosecond()) {
            (seconds, nanos @ ..0) => (seconds - 1, 1_000_000_000 - nanos.unsigned_abs()),
            (seconds, nanos) => (seconds, nanos.unsigned_abs()),
        };
        Ok(Instant { seconds, nanos, offset: Some(0) })
    }

    fn from_instant(instant: Instant) -> Result<Self, ConversionError> {
        let nanos = i32::try_from(instant.nanos).ok();
        let time = nanos.and_then(|nanos| Self::new(instant.seconds, nanos).ok());
        time.ok_or_else(|| ConversionError::out_of_range(Self::NAME))
    }
}

impl Sealed for civil::DateTime {
    const NAME: &'static str = "jiff::civil::DateTime";

    fn to_instant(&self) -> Result<Instant, ConversionError> {
        Ok(Instant::of_civil(to_date(self.date()), to_time(self.time())))
    }

    fn from_instant(instant: Instant) -> Result<Self, ConversionError> {
        instant.to_civil(Self::NAME, from_date, from_time, Self::from_parts)
    }
}

moments! { Timestamp civil::DateTime }
