//! Types of time.

use ::time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcDateTime, UtcOffset};
use finalite::convert::{IsoT, IsoUtc, UnixSeconds};

use super::moments::{Maker, YEARS};
use super::{passes_through_a_function, read, text, unbound, unread};

fn utc(seconds: i64, nanos: u32) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.replace_nanosecond(nanos).ok()
}

fn offset(seconds: i32) -> UtcOffset {
    UtcOffset::from_whole_seconds(seconds).unwrap()
}

#[test]
fn times_in_utc() {
    Maker(|seconds, nanos| utc(seconds, nanos).map(OffsetDateTime::to_utc)).check();
}

#[test]
fn times_at_one_offset() {
    Maker(|seconds, nanos| {
        let inner = (YEARS[0] + 86_400..YEARS[1] - 86_400).contains(&seconds);
        inner.then_some(utc(seconds, nanos)?.to_offset(offset(-12_600)))
    })
    .check();
}

#[test]
fn dates_with_times() {
    Maker(|seconds, nanos| {
        let utc = utc(seconds, nanos)?;
        Some(PrimitiveDateTime::new(utc.date(), utc.time()))
    })
    .check();
}

#[test]
fn dates_and_times_of_day() {
    let date = Date::from_calendar_date(2026, Month::November, 29).unwrap();
    let time = Time::from_hms_micro(7, 4, 0, 5).unwrap();
    assert_eq!((text(date), text(time)), ("2026-11-29".into(), "07:04:00.000005".into()));
    assert_eq!(text(PrimitiveDateTime::new(date, time)), "2026-11-29 07:04:00.000005");
    assert_eq!((read::<Date>(date), read::<Time>(time)), (date, time));
    assert_eq!(read::<Time>("07:04"), Time::from_hms(7, 4, 0).unwrap());
    assert_eq!(unread::<Date>("2026-11-29 07:04"), "more than a date (time::Date)");
    assert_eq!(unbound(Date::MIN), "the year is not one of 0000 to 9999 (time::Date)");
    assert_eq!(text(Date::MAX), "9999-12-31");
}

#[test]
fn an_offset_is_kept() {
    let time = utc(1_795_975_499, 0).unwrap().to_offset(offset(19_800));
    assert_eq!(text(time), "2026-11-29 23:34:59+05:30");
    assert_eq!(text(IsoUtc(time)), "2026-11-29 18:04:59");
    assert_eq!(text(IsoT(time.to_utc())), "2026-11-29T18:04:59+00:00");
    assert_eq!(read::<OffsetDateTime>(time).offset(), time.offset());
    assert_eq!(
        unread::<PrimitiveDateTime>(time),
        "the text has an offset from UTC, which this type cannot hold (time::PrimitiveDateTime)"
    );
    let reason = "SQLite reads offsets of whole minutes, up to 14:59 (time::OffsetDateTime)";
    for seconds in [1, 15 * 3600, 93_599, -93_599] {
        assert_eq!(unbound(time.to_offset(offset(seconds))), reason, "{seconds}");
    }
}

#[test]
fn a_time_beyond_the_type_is_an_error() {
    assert_eq!(unread::<UnixSeconds<UtcDateTime>>(YEARS[1] + 1), "out of range for time::UtcDateTime");
    assert_eq!(unread::<UnixSeconds<OffsetDateTime>>(i64::MIN), "out of range for time::OffsetDateTime");
    // In UTC it is in the year 10000.
    assert_eq!(unread::<UtcDateTime>("9999-12-31 23:59:59-01:00"), "out of range for time::UtcDateTime");
}

#[test]
fn functions_take_and_return_them() {
    let time = utc(1_795_975_499, 0).unwrap();
    passes_through_a_function(time);
    passes_through_a_function(time.to_utc());
    passes_through_a_function(PrimitiveDateTime::new(time.date(), time.time()));
    passes_through_a_function(time.date());
    passes_through_a_function(time.time());
}
