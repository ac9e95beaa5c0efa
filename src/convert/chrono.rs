//! Conversions of the types of the crate `chrono`.

use ::chrono::{DateTime, Datelike, FixedOffset, Local, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};

use super::civil::dates_and_times;
use super::datetime::{Date, Instant, Sealed, Time, leap_second, moments};
use crate::value::ConversionError;

fn to_date(date: NaiveDate) -> Date {
    let [month, day] = [date.month(), date.day()].map(|number| u8::try_from(number).unwrap_or(0));
    Date { year: date.year(), month, day }
}

fn from_date(date: Date) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(date.year, date.month.into(), date.day.into())
}

fn to_time(time: NaiveTime) -> Time {
    let [hour, minute, second] =
        [time.hour(), time.minute(), time.second()].map(|number| u8::try_from(number).unwrap_or(0));
    Time { hour, minute, second, nanos: time.nanosecond() }
}

fn from_time(time: Time) -> Option<NaiveTime> {
    NaiveTime::from_hms_nano_opt(time.hour.into(), time.minute.into(), time.second.into(), time.nanos)
}

dates_and_times! {
    Date: NaiveDate, "chrono::NaiveDate", from_date, to_date;
    Time: NaiveTime, "chrono::NaiveTime", from_time, to_time;
}

/// chrono counts the nanoseconds of a leap second on from those of the second before.
fn instant(utc: DateTime<Utc>, offset: Option<i32>, name: &'static str) -> Result<Instant, ConversionError> {
    match utc.timestamp_subsec_nanos() {
        nanos @ ..1_000_000_000 => Ok(Instant { seconds: utc.timestamp(), nanos, offset }),
        _ => Err(leap_second(name)),
    }
}

fn utc(instant: Instant, name: &'static str) -> Result<DateTime<Utc>, ConversionError> {
    DateTime::from_timestamp(instant.seconds, instant.nanos).ok_or_else(|| ConversionError::out_of_range(name))
}

impl Sealed for DateTime<Utc> {
    const NAME: &'static str = "chrono::DateTime<Utc>";

    fn to_instant(&self) -> Result<Instant, ConversionError> {
        instant(*self, Some(0), Self::NAME)
    }

    fn from_instant(instant: Instant) -> Result<Self, ConversionError> {
        utc(instant, Self::NAME)
    }
}

/// It is bound as UTC: the offset follows from the point in time, and texts of one offset sort.
impl Sealed for DateTime<Local> {
    const NAME: &'static str = "chrono::DateTime<Local>";

    fn to_instant(&self) -> Result<Instant, ConversionError> {
        instant(self.to_utc(), Some(0), Self::NAME)
    }

    fn from_instant(instant: Instant) -> Result<Self, ConversionError> {
        utc(instant, Self::NAME).map(Self::from)
    }
}

impl Sealed for DateTime<FixedOffset> {
    const NAME: &'static str = "chrono::DateTime<FixedOffset>";

    fn to_instant(&self) -> Result<Instant, ConversionError> {
        instant(self.to_utc(), Some(self.offset().local_minus_utc()), Self::NAME)
    }

    fn from_instant(instant: Instant) -> Result<Self, ConversionError> {
        let offset = FixedOffset::east_opt(instant.offset.unwrap_or(0));
        let offset = offset.ok_or_else(|| ConversionError::out_of_range(Self::NAME))?;
        utc(instant, Self::NAME).map(|utc| utc.with_timezone(&offset))
    }
}

impl Sealed for NaiveDateTime {
    const NAME: &'static str = "chrono::NaiveDateTime";

    fn to_instant(&self) -> Result<Instant, ConversionError> {
        instant(self.and_utc(), None, Self::NAME)
    }

    fn from_instant(instant: Instant) -> Result<Self, ConversionError> {
        instant.to_civil(Self::NAME, from_date, from_time, Self::new)
    }
}

moments! { DateTime<Utc> DateTime<Local> DateTime<FixedOffset> NaiveDateTime }
