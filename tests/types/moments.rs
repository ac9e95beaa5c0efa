//! Points in time of all crates: round trips, order, and what SQLite's date functions read.

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use finalite::convert::{IsoT, IsoUtc, JulianDay, Moment, UnixMicros, UnixMillis, UnixNanos, UnixSeconds};
use finalite::{Connection, FromSql, Statement, ToSql};

use super::{read, text, try_read, unbound, unread};
use crate::common::random::Random;

/// 0000-01-01 00:00:00 and 9999-12-31 23:59:59.
pub(super) const YEARS: [i64; 2] = [-62_167_219_200, 253_402_300_799];
/// Those that a count of nanoseconds in 64 bits reaches.
const NANOS: [i64; 2] = [i64::MIN / 1_000_000_000, i64::MAX / 1_000_000_000 - 1];

/// Seconds since 1970 and nanoseconds, at the edges of years and in between, with fractions of zero to nine digits.
pub(super) fn samples() -> Vec<(i64, u32)> {
    let [first, last] = YEARS;
    let leap_day = 951_782_400;
    let edges = [first, first + 1, last - 1, last, -1, 0, 1, leap_day - 1, leap_day, leap_day + 86_400];
    let mut random = Random::new(1, 0);
    let mut samples: Vec<(i64, u32)> =
        edges.into_iter().flat_map(|seconds| [0, 1, 500_000_000, 999_999_999].map(|nanos| (seconds, nanos))).collect();
    for _ in 0..400 {
        let seconds = first + i64::try_from(random.next() % u64::try_from(last - first).unwrap()).unwrap();
        let digits = u32::try_from(random.below(10)).unwrap();
        let nanos = u32::try_from(random.next() % 10_u64.pow(digits)).unwrap() * 10_u32.pow(9 - digits);
        samples.push((seconds, nanos));
    }
    samples
}

/// The type with `make`, which makes one of seconds since 1970 and nanoseconds.
pub(super) struct Maker<T>(pub(super) fn(i64, u32) -> Option<T>);

impl<T> Maker<T>
where
    T: Moment + Debug + Clone + PartialOrd + ToSql + for<'row> FromSql<'row>,
{
    fn values(&self) -> impl Iterator<Item = ((i64, u32), T)> {
        samples().into_iter().filter_map(|(seconds, nanos)| Some(((seconds, nanos), (self.0)(seconds, nanos)?)))
    }

    pub(super) fn check(&self) {
        let least = if cfg!(windows) { 200 } else { 400 };
        assert!(self.values().count() > least, "most samples are values of the type");
        self.round_trips();
        self.whole_units();
        self.order();
        self.sqlite_reads_them();
        self.texts_are_read_as_sqlite_reads_them();
        self.numbers_need_a_unit();
    }

    fn round_trips(&self) {
        let conn = Connection::open_in_memory().unwrap();
        let mut select = conn.prepare("SELECT ?").unwrap();
        for (_, value) in self.values() {
            assert_eq!(one::<T>(&mut select, value.clone()), value);
            assert_eq!(one::<T>(&mut select, &value), value);
            assert_eq!(one::<IsoT<T>>(&mut select, IsoT(value.clone())).0, value);
            assert_eq!(one::<IsoUtc<T>>(&mut select, IsoUtc(value.clone())).0, value);
            assert_eq!(one::<Option<T>>(&mut select, Some(&value)), Some(value.clone()));
        }
    }

    /// Numbers keep whole units, the ones before the value.
    fn whole_units(&self) {
        let conn = Connection::open_in_memory().unwrap();
        let mut select = conn.prepare("SELECT ?").unwrap();
        for ((seconds, nanos), value) in self.values() {
            let floor = |unit: u32| (self.0)(seconds, nanos / unit * unit).unwrap();
            assert_eq!(one::<i64>(&mut select, UnixSeconds(value.clone())), seconds);
            assert_eq!(
                one::<i64>(&mut select, UnixMillis(value.clone())),
                seconds * 1000 + i64::from(nanos / 1_000_000)
            );
            let read = one::<UnixSeconds<T>>(&mut select, UnixSeconds(value.clone())).0;
            assert_eq!(read, floor(1_000_000_000));
            let read = one::<UnixMillis<T>>(&mut select, UnixMillis(value.clone())).0;
            assert_eq!(read, floor(1_000_000));
            let read = one::<UnixMicros<T>>(&mut select, UnixMicros(value.clone())).0;
            assert_eq!(read, floor(1_000));
            let read = one::<JulianDay<T>>(&mut select, JulianDay(value.clone())).0;
            assert_eq!(read, floor(1_000_000));
            if (NANOS[0]..=NANOS[1]).contains(&seconds) {
                assert_eq!(one::<UnixNanos<T>>(&mut select, UnixNanos(value.clone())).0, value);
            } else {
                let error = select.query_one::<i64>((UnixNanos(value),)).unwrap_err();
                assert!(error.to_string().contains("too far from 1970 for 64 bits in this unit"), "{error}");
            }
        }
    }

    fn order(&self) {
        let conn = Connection::open_in_memory().unwrap();
        let mut compare = conn.prepare("SELECT ?1 < ?2, ?1 = ?2").unwrap();
        let mut check = |a: &dyn ToSql, b: &dyn ToSql, expected: (bool, bool), is_strict: bool| {
            let seen = compare.query_one::<(bool, bool)>((a, b)).unwrap();
            // What is less in time may be equal in whole units.
            assert!(seen == expected || !is_strict && seen == (false, true), "{expected:?}, {seen:?}");
        };
        let values: Vec<T> = self.values().map(|(_, value)| value).collect();
        let mut random = Random::new(2, 0);
        for _ in 0..2000 {
            let at = random.below(values.len());
            // Neighbours share their beginning.
            let other = if random.one_in(2) { (at + 1) % values.len() } else { random.below(values.len()) };
            let (a, b) = (&values[at], &values[other]);
            let (a, b) = if a <= b { (a, b) } else { (b, a) };
            let expected = (a < b, a == b);
            check(a, b, expected, true);
            check(&IsoT(a.clone()), &IsoT(b.clone()), expected, true);
            check(&IsoUtc(a.clone()), &IsoUtc(b.clone()), expected, true);
            check(&UnixSeconds(a.clone()), &UnixSeconds(b.clone()), expected, false);
            check(&JulianDay(a.clone()), &JulianDay(b.clone()), expected, false);
        }
    }

    fn sqlite_reads_them(&self) {
        let conn = Connection::open_in_memory().unwrap();
        let mut seconds_of = conn.prepare("SELECT unixepoch(?)").unwrap();
        let mut of_unix = conn.prepare("SELECT datetime(?1, 'unixepoch') = datetime(?2)").unwrap();
        let mut datetime =
            conn.prepare("SELECT datetime(?1) = substr(?2, 1, 19), date(?1) = substr(?2, 1, 10)").unwrap();
        let mut day = conn.prepare("SELECT julianday(?1) = ?2").unwrap();
        for ((seconds, nanos), value) in self.values() {
            assert_eq!(one::<i64>(&mut seconds_of, &value), seconds);
            assert_eq!(one::<i64>(&mut seconds_of, IsoT(value.clone())), seconds);
            assert_eq!(one::<i64>(&mut seconds_of, IsoUtc(value.clone())), seconds);
            assert_eq!(one::<i64>(&mut seconds_of, JulianDay(value.clone())), seconds);
            assert!(of_unix.query_one::<bool>((UnixSeconds(value.clone()), &value)).unwrap());
            assert_eq!(datetime.query_one::<(bool, bool)>((&value, IsoUtc(value.clone()))).unwrap(), (true, true));
            let whole = (self.0)(seconds, nanos / 1_000_000 * 1_000_000).unwrap();
            assert!(day.query_one::<bool>((&whole, JulianDay(whole.clone()))).unwrap(), "{whole:?}");
        }
    }

    /// Whatever text is read, SQLite reads it, too, and as the same second.
    fn texts_are_read_as_sqlite_reads_them(&self) {
        let conn = Connection::open_in_memory().unwrap();
        let mut select = conn.prepare("SELECT ?1, unixepoch(?1)").unwrap();
        let mut seconds_of = conn.prepare("SELECT ?").unwrap();
        let mut random = Random::new(3, 0);
        let (mut whole, mut damaged) = (0, 0);
        for round in 0..4000 {
            let mut text = any_text(&mut random).into_bytes();
            let is_damaged = round % 2 == 1;
            if is_damaged {
                let at = random.below(text.len());
                text[at] = random.pick(b"0123459 TZ:-+.x");
            }
            let text = String::from_utf8(text).unwrap();
            let mut rows = select.query((&text,)).unwrap();
            let row = rows.next().unwrap().unwrap();
            let by_sqlite: Option<i64> = row.get(1).unwrap();
            match row.get::<T>(0) {
                Ok(value) => {
                    assert_eq!(Some(one::<i64>(&mut seconds_of, UnixSeconds(value))), by_sqlite, "{text}");
                    *(if is_damaged { &mut damaged } else { &mut whole }) += 1;
                }
                // An offset that the type cannot hold, or beyond the type's range; on Windows, a part of 100 nanoseconds.
                Err(error) if !is_damaged => {
                    let reasons = ["offset from UTC", "out of range", "not exactly representable as SystemTime"];
                    let is_of_type =
                        reasons[..if cfg!(windows) { 3 } else { 2 }].iter().any(|it| error.to_string().contains(it));
                    assert!(is_of_type, "{text}: {error}");
                }
                Err(_) => {}
            }
        }
        assert!(whole > 500 && damaged > 50, "{whole} and {damaged} were read");
    }

    fn numbers_need_a_unit(&self) {
        let reason =
            "a number does not tell its unit: read it as UnixSeconds, UnixMillis, .. or JulianDay of this type";
        assert!(unread::<T>(1_700_000_000).starts_with(reason));
        assert!(unread::<T>(2_460_000.5).starts_with(reason));
        assert!(unread::<T>(None::<i64>).starts_with("not readable as"));
        assert!(unread::<T>(*b"2026-11-29").starts_with("not readable as"));
        assert!(unread::<UnixSeconds<T>>("2026-11-29").starts_with("not readable as"));
        assert!(unread::<JulianDay<T>>("2026-11-29").starts_with("not readable as"));
        for days in [-0.5, 5_373_484.5, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(unread::<JulianDay<T>>(days).starts_with("out of range for"), "{days}");
        }
    }
}

fn one<T: for<'row> FromSql<'row>>(select: &mut Statement<'_>, value: impl ToSql) -> T {
    select.query_one((value,)).unwrap()
}

/// A valid text in one of the forms.
fn any_text(random: &mut Random) -> String {
    let (year, month, day) = (random.below(9998) + 1, random.below(12) + 1, random.below(28) + 1);
    let date = format!("{year:04}-{month:02}-{day:02}");
    if random.one_in(10) {
        return date;
    }
    let separator = random.pick(&[' ', 'T']);
    let (hour, minute, second) = (random.below(24), random.below(60), random.below(60));
    let clock = match random.below(4) {
        0 => format!("{hour:02}:{minute:02}"),
        1 => format!("{hour:02}:{minute:02}:{second:02}"),
        _ => {
            let digits: String = (0..=random.below(9)).map(|_| random.pick(&['0', '1', '5', '9'])).collect();
            format!("{hour:02}:{minute:02}:{second:02}.{digits}")
        }
    };
    let zone = match random.below(4) {
        0 => String::new(),
        1 => "Z".into(),
        2 => "+00:00".into(),
        _ => format!("{}{:02}:{:02}", random.pick(&['+', '-']), random.below(15), random.below(60)),
    };
    format!("{date}{separator}{clock}{zone}")
}

/// On Windows, `None` before the year 1601, and for what is no multiple of 100 nanoseconds.
pub(super) fn system_time(seconds: i64, nanos: u32) -> Option<SystemTime> {
    if cfg!(windows) && !nanos.is_multiple_of(100) {
        return None;
    }
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let whole = if seconds < 0 { epoch.checked_sub(whole) } else { epoch.checked_add(whole) };
    whole?.checked_add(Duration::from_nanos(nanos.into()))
}

#[test]
fn system_times() {
    Maker(system_time).check();
}

#[test]
fn the_texts_are_those_that_are_documented() {
    let time = system_time(1_795_975_499, 0).unwrap();
    assert_eq!(text(time), "2026-11-29 18:04:59+00:00");
    assert_eq!(text(IsoT(time)), "2026-11-29T18:04:59+00:00");
    assert_eq!(text(IsoUtc(time)), "2026-11-29 18:04:59");
    for (nanos, fraction) in [(250_000_000, ".250"), (1_000, ".000001"), (1, ".000000001"), (120_000_000, ".120")] {
        let Some(time) = system_time(1_795_975_499, nanos) else {
            assert_eq!((cfg!(windows), nanos), (true, 1));
            continue;
        };
        assert_eq!(text(time), format!("2026-11-29 18:04:59{fraction}+00:00"));
    }
}

/// What each driver of the documentation's table writes for this time, or for its date and time in UTC.
#[test]
fn what_other_drivers_write_is_read() {
    let whole = system_time(1_795_975_499, 0).unwrap();
    let quarter = whole + Duration::from_millis(250);
    for (driver, written, expected) in [
        ("rusqlite, chrono", "2026-11-29 18:04:59+00:00", whole),
        ("rusqlite, chrono", "2026-11-29 18:04:59.250+00:00", quarter),
        ("rusqlite, chrono, FixedOffset", "2026-11-29 20:04:59+02:00", whole),
        ("rusqlite, chrono, naive", "2026-11-29 18:04:59.250", quarter),
        ("rusqlite, time", "2026-11-29 18:04:59.0+00:00", whole),
        ("rusqlite, time", "2026-11-29 20:04:59.25+02:00", quarter),
        ("rusqlite, time, UtcDateTime", "2026-11-29 18:04:59.0Z", whole),
        ("rusqlite, jiff", "2026-11-29T18:04:59.25Z", quarter),
        ("rusqlite, jiff, civil", "2026-11-29T18:04:59", whole),
        ("sqlx, chrono", "2026-11-29T18:04:59.250+00:00", quarter),
        ("sqlx, time", "2026-11-29T18:04:59Z", whole),
        ("sqlx, time, primitive", "2026-11-29 18:04:59.0", whole),
        ("diesel", "2026-11-29 18:04:59.250+00:00", quarter),
        ("Python", "2026-11-29 18:04:59.250000", quarter),
        ("Python, aware", "2026-11-29 20:04:59+02:00", whole),
        ("JDBC, text", "2026-11-29 18:04:59.250", quarter),
        (".NET", "2026-11-29 18:04:59.25", quarter),
        (".NET, offset", "2026-11-29 18:04:59.2500000+00:00", quarter),
        ("Go", "2026-11-29 18:04:59.25+00:00", quarter),
        ("Go", "2026-11-29 12:34:59-05:30", whole),
        ("datetime()", "2026-11-29 18:04:59", whole),
    ] {
        assert_eq!(read::<SystemTime>(written), expected, "{driver}");
        assert_eq!(read::<IsoT<SystemTime>>(written).0, expected, "{driver}");
        assert_eq!(read::<IsoUtc<SystemTime>>(written).0, expected, "{driver}");
    }
    assert_eq!(read::<UnixMillis<SystemTime>>(1_795_975_499_250_i64).0, quarter);
    // As sqlite-jdbc computes it.
    let days = 1_795_975_499_250.0 / 86_400_000.0 + 2_440_587.5;
    assert_eq!(read::<JulianDay<SystemTime>>(days).0, quarter);
}

#[test]
fn what_is_not_exact_is_an_error() {
    assert_eq!(unread::<SystemTime>("2026-11-29 18:04:59.1234567891"), "not exactly representable as SystemTime");
    if cfg!(windows) {
        assert_eq!(unread::<SystemTime>("2026-11-29 18:04:59.12345678"), "not exactly representable as SystemTime");
        assert_eq!(unread::<SystemTime>("1600-12-31 23:59:59"), "out of range for SystemTime");
        assert_eq!(read::<SystemTime>("2026-11-29 18:04:59.12345670000"), read("2026-11-29 18:04:59.123456700"));
    } else {
        assert_eq!(read::<SystemTime>("2026-11-29 18:04:59.12345678900"), read("2026-11-29 18:04:59.123456789"));
    }
    for text in [
        "",
        "2026",
        "2026-11-29 ",
        "2026-11-29 18",
        "2026-11-29 18:04:59.",
        "2026-11-29 18:04:60",
        "2026-11-29 24:00:00",
        "2026-11-31",
        "2026-02-29",
        "1900-02-29",
        "2026-00-10",
        "2026-13-10",
        "-001-01-01",
        "10000-01-01",
        "2026-11-29 18:04:59+15:00",
        "2026-11-29 18:04:59+02",
        "2026-11-29 18:04:59 UTC",
        "2026-11-29 18:04:59+00:00 hunter2",
        "18:04:59",
        "now",
        "2460000.5",
    ] {
        let reason = unread::<SystemTime>(text);
        assert_eq!(reason, "not a date or time in a form that SQLite reads (SystemTime)", "{text}");
    }
    let reason = unread::<SystemTime>(finalite::Value::Blob(b"2026-11-29\xff".into()));
    assert_eq!(reason, "not readable as SystemTime");
    assert!(try_read::<SystemTime>("2000-02-29").is_ok());
}

#[test]
fn years_without_a_sorting_text_are_not_bound() {
    let reason = "the year is not one of 0000 to 9999 (SystemTime)";
    for seconds in [YEARS[0] - 1, YEARS[1] + 1] {
        let Some(time) = system_time(seconds, 0) else {
            assert!(cfg!(windows) && seconds < 0);
            continue;
        };
        assert_eq!(unbound(time), reason);
        assert_eq!(unbound(IsoT(time)), reason);
        assert_eq!(unbound(IsoUtc(time)), reason);
        // As a number, they are values like others.
        assert_eq!(read::<UnixSeconds<SystemTime>>(UnixSeconds(time)).0, time);
    }
    assert_eq!(
        unbound(JulianDay(system_time(YEARS[1] + 1, 0).unwrap())),
        "beyond the days that SQLite counts (SystemTime)"
    );
    if cfg!(windows) {
        return;
    }
    let before = system_time(-210_866_760_001, 0).unwrap();
    let first = system_time(-210_866_760_000, 0).unwrap();
    assert_eq!(unbound(JulianDay(before)), "beyond the days that SQLite counts (SystemTime)");
    assert_eq!(read::<f64>(JulianDay(first)), 0.0);
    assert_eq!(read::<JulianDay<SystemTime>>(JulianDay(first)).0, first);
}
