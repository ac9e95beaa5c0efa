//! Conversions of the types of the crate `time`.

use ::time::{OffsetDateTime, PrimitiveDateTime, UtcDateTime, UtcOffset};

use super::civil::dates_and_times;
use super::datetime::{Date, Instant, Sealed, Time, moments};
use crate::value::ConversionError;

fn to_date(date: ::time::Date) -> Date {
    Date { year: date.year(), month: date.month().into(), day: date.day() }
}

fn from_date(date: Date) -> Option<::time::Date> {
    ::time::Date::from_calendar_date(date.year, date.month.try_into().ok()?, date.day).ok()
}

fn to_time(time: ::time::Time) -> Time {
    let (hour, minute, second, nanos) = time.as_hms_nano();
    Time { hour, minute, second, nanos }
}

fn from_time(time: Time) -> Option<::time::Time> {
    ::time::Time::from_hms_nano(time.hour, time.minute, time.second, time.nanos).ok()
}

dates_and_times! {
    Date: ::time::Date, "time::Date", from_date, to_date;
    Time: ::time::Time, "time::Time", from_time, to_time;
}

fn utc(instant: Instant, name: &'static str) -> Result<OffsetDateTime, ConversionError> {
    let whole = OffsetDateTime::from_unix_timestamp(instant.seconds);
    let time = whole.and_then(|whole| whole.replace_nanosecond(instant.nanos));
    time.map_err(|_| ConversionError::out_of_range(name))
}

impl Sealed for OffsetDateTime {
    const NAME: &'static str = "time::OffsetDateTime";

    fn to_instant(&self) -> Result<Instant, ConversionError> {
        let offset = Some(self.offset().whole_seconds());
        Ok(Instant { seconds: self.unix_timestamp(), nanos: self.nanosecond(), offset })
    }

    fn from_instant(instant: Instant) -> Result<Self, ConversionError> {
        let offset = UtcOffset::from_whole_seconds(instant.offset.unwrap_or(0)).ok();
        let utc = utc(instant, Self::NAME)?;
        offset.and_then(|offset| utc.checked_to_offset(offset)).ok_or_else(|| ConversionError::out_of_range(Self::NAME))
    }
}

impl Sealed for UtcDateTime {
    const NAME: &'static str = "time::UtcDateTime";

    fn to_instant(&self) -> Result<Instant, ConversionError> {
        Ok(Instant { seconds: self.unix_timestamp(), nanos: self.nanosecond(), offset: Some(0) })
    }

    fn from_instant(instant: Instant) -> Result<Self, ConversionError> {
        utc(instant, Self::NAME).map(OffsetDateTime::to_utc)
    }
}

impl Sealed for PrimitiveDateTime {
    const NAME: &'static str = "time::PrimitiveDateTime";

    fn to_instant(&self) -> Result<Instant, ConversionError> {
        Ok(Instant::of_civil(to_date(self.date()), to_time(self.time())))
    }

    fn from_instant(instant: Instant) -> Result<Self, ConversionError> {
        instant.to_civil(Self::NAME, from_date, from_time, Self::new)
    }
}

moments! { OffsetDateTime UtcDateTime PrimitiveDateTime }
