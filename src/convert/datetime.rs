//! Dates and times as texts that SQLite's date functions read. Each crate of dates converts to these types and back.

use super::Param;
use crate::value::{ConversionError, ValueRef};

pub(super) const SECONDS_PER_DAY: i64 = 86_400;
/// The largest offset that SQLite reads: 14:59.
const OFFSET_MAX: i32 = (15 * 60 - 1) * 60;

pub(super) const UNREADABLE: &str = "not a date or time in a form that SQLite reads";
const NUMBER: &str =
    "a number does not tell its unit: read it as UnixSeconds, UnixMillis, .. or JulianDay of this type";

/// A day of the Gregorian calendar, which is valid.
#[derive(Clone, Copy)]
pub(super) struct Date {
    pub(super) year: i32,
    pub(super) month: u8,
    pub(super) day: u8,
}

/// A time of day, which is valid.
#[derive(Clone, Copy)]
pub(super) struct Time {
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
    pub(super) nanos: u32,
}

/// A point in time. Without an offset it is a date and time without a zone, which SQLite takes as UTC.
#[derive(Clone, Copy, Debug)]
pub struct Instant {
    /// Since 1970-01-01 00:00:00 UTC.
    pub seconds: i64,
    pub nanos: u32,
    /// Seconds east of UTC.
    pub offset: Option<i32>,
}

/// A type that is converted to [`Instant`] and back.
pub trait Sealed: Sized {
    const NAME: &'static str;

    fn to_instant(&self) -> Result<Instant, ConversionError>;

    fn from_instant(instant: Instant) -> Result<Self, ConversionError>;
}

/// The characters between date and time, and whether an offset follows.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) separator: char,
    pub(super) has_offset: bool,
}

impl Layout {
    pub(super) const DEFAULT: Self = Self { separator: ' ', has_offset: true };
}

impl Date {
    /// The day that begins this number of days after 1970-01-01.
    pub(super) fn from_days(days: i64) -> Option<Self> {
        // Years begin in March here, so that a leap day is a year's last day; eras have 400 years.
        let days = days.checked_add(719_468)?;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year + i64::from(month <= 2);
        Some(Self { year: year.try_into().ok()?, month: month.try_into().ok()?, day: day.try_into().ok()? })
    }

    fn to_days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// Whether the month has the day.
    fn is_valid(self) -> bool {
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days = match self.month {
            2 => 28 + u8::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        (1..=days).contains(&self.day)
    }

    /// # Errors
    ///
    /// For years before 0000 and after 9999, whose texts neither sort nor are read by SQLite.
    pub(super) fn push(self, text: &mut String, name: &'static str) -> Result<(), ConversionError> {
        let Self { year, month, day } = self;
        if !(0..=9999).contains(&year) {
            return Err(ConversionError::message(name, "the year is not one of 0000 to 9999"));
        }
        push_digits::<4>(text, year.unsigned_abs());
        text.push('-');
        push_digits::<2>(text, month.into());
        text.push('-');
        push_digits::<2>(text, day.into());
        Ok(())
    }
}

impl Time {
    /// Fractions have three, six or nine digits, as those that chrono writes.
    pub(super) fn push(self, text: &mut String, name: &'static str) -> Result<(), ConversionError> {
        let Self { hour, minute, second, nanos } = self;
        if nanos >= 1_000_000_000 {
            return Err(leap_second(name));
        }
        push_clock(text, hour.into(), minute.into());
        text.push(':');
        push_digits::<2>(text, second.into());
        if nanos != 0 {
            text.push('.');
        }
        match nanos {
            0 => {}
            _ if nanos % 1_000_000 == 0 => push_digits::<3>(text, nanos / 1_000_000),
            _ if nanos % 1_000 == 0 => push_digits::<6>(text, nanos / 1_000),
            _ => push_digits::<9>(text, nanos),
        }
        Ok(())
    }
}

fn push_clock(text: &mut String, hour: u32, minute: u32) {
    push_digits::<2>(text, hour);
    text.push(':');
    push_digits::<2>(text, minute);
}

/// Writes the last digits of a number. `write!` takes several times as long as all else that binding a date does.
fn push_digits<const N: usize>(text: &mut String, mut number: u32) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
    text.extend(digits.map(char::from));
}

impl Instant {
    /// The point in time at which clocks in UTC show this.
    pub(super) fn of_civil(date: Date, time: Time) -> Self {
        let Time { hour, minute, second, nanos } = time;
        let of_day = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
        Self { seconds: date.to_days() * SECONDS_PER_DAY + of_day, nanos, offset: None }
    }

    /// Returns the date and time of clocks at this offset.
    pub(super) fn shown(self, offset: i32) -> Option<(Date, Time)> {
        let seconds = self.seconds.checked_add(offset.into())?;
        let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        let [hour, minute, second] = [of_day / 3600, of_day / 60 % 60, of_day % 60].map(u8::try_from);
        let time = Time { hour: hour.ok()?, minute: minute.ok()?, second: second.ok()?, nanos: self.nanos };
        Some((Date::from_days(seconds.div_euclid(SECONDS_PER_DAY))?, time))
    }

    /// Returns the text of this layout, which has the offset if there is one.
    ///
    /// # Errors
    ///
    /// For what the text cannot express: other years than 0000 to 9999, leap seconds, offsets with seconds.
    pub(super) fn write(self, layout: Layout, name: &'static str) -> Result<Param<'static>, ConversionError> {
        let offset = self.offset.filter(|_| layout.has_offset);
        let (date, time) = self.shown(offset.unwrap_or(0)).ok_or_else(|| ConversionError::out_of_range(name))?;
        let mut text = String::with_capacity(35);
        date.push(&mut text, name)?;
        text.push(layout.separator);
        time.push(&mut text, name)?;
        if let Some(offset) = offset {
            text.push(if offset < 0 { '-' } else { '+' });
            let seconds = offset.unsigned_abs();
            if offset % 60 != 0 || !(-OFFSET_MAX..=OFFSET_MAX).contains(&offset) {
                return Err(ConversionError::message(name, "SQLite reads offsets of whole minutes, up to 14:59"));
            }
            push_clock(&mut text, seconds / 3600, seconds / 60 % 60);
        }
        Ok(Param::text(text))
    }

    /// Reads a text in any layout. A date alone is its midnight, as in SQLite.
    pub(super) fn read(value: ValueRef<'_>, name: &'static str) -> Result<Self, ConversionError> {
        let unreadable = || ConversionError::message(name, UNREADABLE);
        let mut rest = Rest::of(value, name)?;
        let date = rest.date().ok_or_else(unreadable)?;
        if rest.0.is_empty() {
            return Ok(Self::of_civil(date, Time { hour: 0, minute: 0, second: 0, nanos: 0 }));
        }
        if !rest.take(b' ') && !rest.take(b'T') {
            return Err(unreadable());
        }
        let instant = Self::of_civil(date, rest.time(name)?);
        let offset = rest.offset().ok_or_else(unreadable)?;
        Ok(Self { seconds: instant.seconds - i64::from(offset.unwrap_or(0)), offset, ..instant })
    }
}

pub(super) fn leap_second(name: &'static str) -> ConversionError {
    ConversionError::message(name, "a leap second, which SQLite does not have")
}

/// The part of a text that is still to be read.
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    pub(super) fn of(value: ValueRef<'a>, name: &'static str) -> Result<Self, ConversionError> {
        match value {
            ValueRef::Text(text) => Ok(Self(text)),
            ValueRef::Integer(_) | ValueRef::Real(_) => Err(ConversionError::message(name, NUMBER)),
            _ => Err(ConversionError::wrong_type(name)),
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn digit(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| first.is_ascii_digit())?;
        self.0 = rest;
        Some(first - b'0')
    }

    fn two_digits(&mut self) -> Option<u8> {
        Some(self.digit()? * 10 + self.digit()?)
    }

    fn date(&mut self) -> Option<Date> {
        let year = i32::from(self.two_digits()?) * 100 + i32::from(self.two_digits()?);
        let month = self.take(b'-').then(|| self.two_digits())??;
        let day = self.take(b'-').then(|| self.two_digits())??;
        Some(Date { year, month, day }).filter(|date| date.is_valid())
    }

    /// # Errors
    ///
    /// If there is no time, or it is finer than nanoseconds.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Time, ConversionError> {
        let (hour, minute, second) = self.clock().ok_or_else(|| ConversionError::message(name, UNREADABLE))?;
        let Some(second) = second else {
            return Ok(Time { hour, minute, second: 0, nanos: 0 });
        };
        let (mut nanos, mut weight) = (0, 100_000_000);
        // SQLite, too, reads a point only in front of a digit.
        if self.0.get(1).is_some_and(u8::is_ascii_digit) && self.take(b'.') {
            while let Some(digit) = self.digit() {
                if weight == 0 && digit != 0 {
                    return Err(ConversionError::not_exact(name));
                }
                nanos += u32::from(digit) * weight;
                weight /= 10;
            }
        }
        Ok(Time { hour, minute, second, nanos })
    }

    fn clock(&mut self) -> Option<(u8, u8, Option<u8>)> {
        let hour = self.two_digits().filter(|hour| *hour < 24)?;
        let minute = self.take(b':').then(|| self.two_digits())?.filter(|minute| *minute < 60)?;
        let second = if self.take(b':') { Some(self.two_digits().filter(|second| *second < 60)?) } else { None };
        Some((hour, minute, second))
    }

    /// Reads what is behind the time to the end: nothing, `Z`, or an offset, in seconds.
    #[expect(clippy::option_option, reason = "unreadable, or no offset")]
    fn offset(&mut self) -> Option<Option<i32>> {
        while self.take(b' ') {}
        if self.0.is_empty() {
            return Some(None);
        }
        let seconds = if self.take(b'Z') || self.take(b'z') {
            0
        } else {
            let sign = if self.take(b'-') { -1 } else { self.take(b'+').then_some(1)? };
            let hours = i32::from(self.two_digits()?);
            let minutes = self.take(b':').then(|| self.two_digits())?.filter(|minutes| *minutes < 60)?;
            sign * (hours * 60 + i32::from(minutes)) * 60
        };
        let is_end = self.0.is_empty() && (-OFFSET_MAX..=OFFSET_MAX).contains(&seconds);
        is_end.then_some(Some(seconds))
    }
}

/// Implements the traits for types of points in time, whose default is a text.
macro_rules! moments {
    ($($type:ty)*) => {
        $(
            impl $crate::convert::Moment for $type {}

            impl $crate::convert::FromSql<'_> for $type {
                fn from_sql(value: $crate::value::ValueRef<'_>) -> Result<Self, $crate::value::ConversionError> {
                    use $crate::convert::datetime::{Instant, Sealed};
                    Self::from_instant(Instant::read(value, Self::NAME)?)
                }
            }

            impl $crate::convert::ToSql for $type {
                fn to_sql(&self) -> $crate::convert::Param<'_> {
                    use $crate::convert::datetime::{Layout, Sealed};
                    let text = self.to_instant().and_then(|instant| instant.write(Layout::DEFAULT, Self::NAME));
                    text.unwrap_or_else($crate::convert::Param::error)
                }
            }
        )*
    };
}

pub(super) use moments;
