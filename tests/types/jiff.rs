//! Types of jiff.

use ::jiff::Timestamp;
use ::jiff::civil::{Date, DateTime, Time, date, time};
use finalite::convert::{IsoT, UnixMillis};

use super::moments::{Maker, YEARS};
use super::{passes_through_a_function, read, text, unbound, unread};

#[test]
fn timestamps() {
    Maker(|seconds, nanos| Timestamp::new(seconds, nanos.try_into().unwrap()).ok()).check();
}

#[test]
fn dates_with_times() {
    Maker(|seconds, nanos| {
        let epoch = date(1970, 1, 1).at(0, 0, 0, 0);
        let span = ::jiff::SignedDuration::new(seconds, nanos.try_into().unwrap());
        epoch.checked_add(span).ok()
    })
    .check();
}

#[test]
fn dates_and_times_of_day() {
    assert_eq!(text(date(2026, 11, 29)), "2026-11-29");
    assert_eq!(text(date(0, 1, 1)), "0000-01-01");
    assert_eq!(text(time(7, 4, 0, 5_000_000)), "07:04:00.005");
    assert_eq!(read::<Date>("2026-11-29 00:00:00"), date(2026, 11, 29));
    assert_eq!(read::<Time>("07:04"), time(7, 4, 0, 0));
    assert_eq!(unread::<Date>("2026-11-29 00:00:01"), "more than a date (jiff::civil::Date)");
    assert_eq!(unbound(date(-44, 3, 15)), "the year is not one of 0000 to 9999 (jiff::civil::Date)");
}

#[test]
fn the_default_of_dates_with_times_has_a_blank() {
    let value = date(2026, 11, 29).at(18, 4, 59, 0);
    assert_eq!(text(value), "2026-11-29 18:04:59");
    assert_eq!(text(IsoT(value)), "2026-11-29T18:04:59");
    assert_eq!(
        unread::<DateTime>("2026-11-29 18:04:59+01:00"),
        "the text has an offset from UTC, which this type cannot hold (jiff::civil::DateTime)"
    );
}

/// jiff's timestamps end a day before the year does.
#[test]
fn a_time_beyond_the_type_is_an_error() {
    let reason = "out of range for jiff::Timestamp";
    assert_eq!(unread::<Timestamp>("9999-12-31 23:59:59"), reason);
    assert_eq!(unread::<UnixMillis<Timestamp>>(i64::MAX), reason);
    assert_eq!(unread::<UnixMillis<Timestamp>>(YEARS[1] * 1000), reason);
    let before_year_zero = Timestamp::new(YEARS[0] - 1, 0).unwrap();
    assert_eq!(unbound(before_year_zero), "the year is not one of 0000 to 9999 (jiff::Timestamp)");
}

#[test]
fn functions_take_and_return_them() {
    let value = date(2026, 11, 29).at(18, 4, 59, 0);
    passes_through_a_function(value);
    passes_through_a_function(value.date());
    passes_through_a_function(value.time());
    passes_through_a_function(Timestamp::UNIX_EPOCH);
    passes_through_a_function(IsoT(Timestamp::UNIX_EPOCH));
}
