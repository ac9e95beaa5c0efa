//! Types of chrono.

use ::chrono::{DateTime, FixedOffset, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use finalite::Connection;
use finalite::convert::{IsoT, IsoUtc, JulianDay, UnixMillis, UnixSeconds};

use super::moments::{Maker, YEARS};
use super::{passes_through_a_function, read, text, unbound, unread};
use crate::common::random::Random;

fn offset(seconds: i32) -> FixedOffset {
    FixedOffset::east_opt(seconds).unwrap()
}

#[test]
fn times_in_utc() {
    Maker(DateTime::from_timestamp).check();
}

#[test]
fn local_times() {
    Maker(|seconds, nanos| Some(DateTime::<Local>::from(DateTime::from_timestamp(seconds, nanos)?))).check();
}

#[test]
fn times_at_one_offset() {
    Maker(|seconds, nanos| {
        let inner = (YEARS[0] + 86_400..YEARS[1] - 86_400).contains(&seconds);
        inner.then_some(DateTime::from_timestamp(seconds, nanos)?.with_timezone(&offset(7200)))
    })
    .check();
}

#[test]
fn dates_with_times() {
    Maker(|seconds, nanos| Some(DateTime::from_timestamp(seconds, nanos)?.naive_utc())).check();
}

#[test]
fn dates() {
    let conn = Connection::open_in_memory().unwrap();
    let mut select = conn.prepare("SELECT ?1, date(?1), date(?1, '+1 day'), julianday(?1)").unwrap();
    let first = NaiveDate::from_ymd_opt(0, 1, 1).unwrap();
    let mut random = Random::new(4, 0);
    let days = (0..2000).map(|_| random.below(3_652_058) as u64).chain([0, 1, 58, 59, 60, 3_652_057]);
    for day in days {
        let date = first + ::chrono::Days::new(day);
        let (read, by_sqlite, next, julian) =
            select.query_one::<(NaiveDate, NaiveDate, NaiveDate, f64)>((date,)).unwrap();
        assert_eq!((read, by_sqlite, Some(next)), (date, date, date.succ_opt()));
        assert_eq!(julian, 1_721_059.5 + day as f64);
        assert_eq!(text(date), date.to_string());
    }
    assert_eq!(unbound(first.pred_opt().unwrap()), "the year is not one of 0000 to 9999 (chrono::NaiveDate)");
    assert_eq!(unbound(NaiveDate::MAX), "the year is not one of 0000 to 9999 (chrono::NaiveDate)");
    assert_eq!(read::<NaiveDate>("2026-11-29T00:00"), NaiveDate::from_ymd_opt(2026, 11, 29).unwrap());
    for text in ["2026-11-29 00:00:00Z", "2026-11-29 00:00:00.001", "2026-11-29 12:00"] {
        assert_eq!(unread::<NaiveDate>(text), "more than a date (chrono::NaiveDate)");
    }
}

#[test]
fn times_of_day() {
    let conn = Connection::open_in_memory().unwrap();
    let mut select = conn.prepare("SELECT ?1, time(?1) = substr(?1, 1, 8), ?1 < ?2").unwrap();
    let mut random = Random::new(5, 0);
    let mut any = || {
        let digits = u32::try_from(random.below(10)).unwrap();
        let nanos = random.next() % 10_u64.pow(digits) * 10_u64.pow(9 - digits);
        NaiveTime::from_num_seconds_from_midnight_opt(random.below(86_400) as u32, nanos as u32).unwrap()
    };
    for _ in 0..1000 {
        let (time, other) = (any(), any());
        let (read, is_equal, is_before) = select.query_one::<(NaiveTime, bool, bool)>((time, other)).unwrap();
        assert_eq!((read, is_equal, is_before), (time, true, time < other));
        assert_eq!(text(time), time.to_string());
    }
    let leap = NaiveTime::from_hms_milli_opt(23, 59, 59, 1500).unwrap();
    assert_eq!(unbound(leap), "a leap second, which SQLite does not have (chrono::NaiveTime)");
    assert_eq!(read::<NaiveTime>("23:59"), NaiveTime::from_hms_opt(23, 59, 0).unwrap());
    for text in ["23:59:60", "24:00", "7:04", "23:59:59Z", "23:59:59+01:00", "2026-11-29 23:59:59", ""] {
        let reason = "not a date or time in a form that SQLite reads (chrono::NaiveTime)";
        assert_eq!(unread::<NaiveTime>(text), reason, "{text}");
    }
}

/// Byte by byte what rusqlite, diesel and sqlx write for these types.
#[test]
fn the_defaults_are_those_of_other_drivers() {
    for (seconds, nanos) in super::moments::samples() {
        let utc = DateTime::from_timestamp(seconds, nanos).unwrap();
        assert_eq!(text(utc), utc.format("%F %T%.f%:z").to_string());
        assert_eq!(text(utc.naive_utc()), utc.naive_utc().to_string());
        assert_eq!(text(DateTime::<Local>::from(utc)), text(utc));
        assert_eq!(text(IsoT(utc)), utc.to_rfc3339_opts(::chrono::SecondsFormat::AutoSi, false));
        if (YEARS[0] + 86_400..YEARS[1] - 86_400).contains(&seconds) {
            let fixed = utc.with_timezone(&offset(-12_600));
            assert_eq!(text(fixed), fixed.format("%F %T%.f%:z").to_string());
        }
    }
}

#[test]
fn an_offset_is_kept_or_sorts() {
    let early = offset(7200).with_ymd_and_hms(2026, 11, 29, 1, 0, 0).unwrap();
    let late = offset(-3600).with_ymd_and_hms(2026, 11, 29, 0, 30, 0).unwrap();
    assert!(early < late);
    assert_eq!(read::<DateTime<FixedOffset>>(early).offset(), early.offset());
    let conn = Connection::open_in_memory().unwrap();
    let is_before =
        |a: &dyn finalite::ToSql, b: &dyn finalite::ToSql| conn.query_one::<bool>("SELECT ? < ?", (a, b)).unwrap();
    assert!(!is_before(&early, &late), "the texts sort by what clocks show");
    assert!(is_before(&IsoUtc(early), &IsoUtc(late)));
    assert!(is_before(&early.to_utc(), &late.to_utc()));
    assert_eq!(read::<IsoUtc<DateTime<FixedOffset>>>(IsoUtc(early)).0, early);
}

#[test]
fn offsets_that_sqlite_does_not_read_are_not_bound() {
    let conn = Connection::open_in_memory().unwrap();
    let time = DateTime::from_timestamp(1_795_975_499, 0).unwrap();
    let reason = "SQLite reads offsets of whole minutes, up to 14:59 (chrono::DateTime<FixedOffset>)";
    for seconds in [1, -3601, 15 * 3600, -15 * 3600, 86_399] {
        let fixed = time.with_timezone(&offset(seconds));
        assert_eq!(unbound(fixed), reason, "{seconds}");
        assert_eq!(unbound(IsoT(fixed)), reason, "{seconds}");
        // SQLite reads what chrono would write as no time at all.
        let written = fixed.format("%F %T%.f%::z").to_string();
        assert_eq!(conn.query_one::<Option<i64>>("SELECT unixepoch(?)", (written,)).unwrap(), None);
        assert_eq!(read::<UnixSeconds<DateTime<FixedOffset>>>(UnixSeconds(fixed)).0, fixed);
        assert_eq!(read::<DateTime<Utc>>(IsoUtc(fixed)), time);
    }
    for seconds in [0, 60, -60, 15 * 3600 - 60, -15 * 3600 + 60] {
        let fixed = time.with_timezone(&offset(seconds));
        let read = read::<DateTime<FixedOffset>>(fixed);
        assert_eq!((read, read.offset()), (fixed, fixed.offset()));
        assert_eq!(conn.query_one::<i64>("SELECT unixepoch(?)", (fixed,)).unwrap(), time.timestamp());
    }
}

#[test]
fn leap_seconds_are_not_bound() {
    let date = NaiveDate::from_ymd_opt(2016, 12, 31).unwrap();
    let leap = date.and_hms_milli_opt(23, 59, 59, 1250).unwrap();
    assert_eq!(unbound(leap), "a leap second, which SQLite does not have (chrono::NaiveDateTime)");
    let reason = "a leap second, which SQLite does not have (chrono::DateTime<Utc>)";
    assert_eq!(unbound(leap.and_utc()), reason);
    assert_eq!(unbound(UnixSeconds(leap.and_utc())), reason);
    assert_eq!(unbound(UnixMillis(leap.and_utc())), reason);
    assert_eq!(unbound(JulianDay(leap.and_utc())), reason);
}

#[test]
fn far_years_are_numbers_alone() {
    for time in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        assert_eq!(unbound(time), "the year is not one of 0000 to 9999 (chrono::DateTime<Utc>)");
        let whole = DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap();
        assert_eq!(read::<UnixMillis<DateTime<Utc>>>(UnixMillis(time)).0, whole);
    }
    assert_eq!(unread::<UnixSeconds<DateTime<Utc>>>(i64::MAX), "out of range for chrono::DateTime<Utc>");
    assert_eq!(unread::<UnixSeconds<NaiveDateTime>>(i64::MIN), "out of range for chrono::NaiveDateTime");
}

/// The neighbours' texts, and this one's by the neighbours.
#[test]
#[cfg(all(feature = "time", feature = "jiff"))]
fn the_crates_read_each_other() {
    for (seconds, nanos) in super::moments::samples() {
        let ours = DateTime::from_timestamp(seconds, nanos).unwrap();
        let of_time: ::time::UtcDateTime = read(ours);
        assert_eq!(read::<DateTime<Utc>>(of_time), ours);
        assert_eq!(text(of_time), text(ours));
        let civil: ::jiff::civil::DateTime = read(ours.naive_utc());
        assert_eq!(text(civil), text(ours.naive_utc()));
    }
}

#[test]
fn functions_take_and_return_them() {
    let time = DateTime::from_timestamp(1_795_975_499, 0).unwrap();
    passes_through_a_function(time);
    passes_through_a_function(time.with_timezone(&offset(7200)));
    passes_through_a_function(DateTime::<Local>::from(time));
    passes_through_a_function(time.naive_utc());
    passes_through_a_function(time.date_naive());
    passes_through_a_function(time.time());
    passes_through_a_function(UnixSeconds(time));
}
