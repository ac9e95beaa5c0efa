//! Types of std whose values have more than one form: integers beyond 64 bits, durations, paths.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use finalite::convert::{
    IntegerBlob, IsoT, IsoUtc, JulianDay, Micros, Millis, Nanos, Seconds, U64Bits, UnixMicros, UnixMillis, UnixNanos,
    UnixSeconds,
};
use finalite::{Connection, Value};

use super::{passes_through_a_function, read, stored, text, unbound, unread};
use crate::common::random::Random;

/// The shorter half of the numbers is near the ends.
fn wide(random: &mut Random) -> u128 {
    let bits = u128::from(random.next()) << 64 | u128::from(random.next());
    let shifted = bits >> random.below(128);
    if random.one_in(2) { shifted } else { !shifted }
}

#[test]
fn blobs_of_integers_sort_as_the_numbers_do() {
    let conn = Connection::open_in_memory().unwrap();
    let mut compare = conn.prepare("SELECT ?1 < ?2").unwrap();
    let mut random = Random::new(8, 0);
    for _ in 0..2000 {
        let [a, b] = [(); 2].map(|()| wide(&mut random));
        macro_rules! check {
            ($($type:ty)*) => {
                $(
                    let [first, second] = [a, b].map(|bits| IntegerBlob(bits as $type));
                    assert_eq!(compare.query_one::<bool>((first, second)).unwrap(), first.0 < second.0);
                    assert_eq!(read::<IntegerBlob<$type>>(first), first);
                )*
            };
        }
        check! { u64 i128 u128 }
        let bits = U64Bits(a as u64);
        assert_eq!(read::<U64Bits>(bits), bits);
    }
    // rusqlite's feature `i128_blob`.
    assert_eq!(stored(IntegerBlob(-1_i128)), Value::Blob([&[0x7f][..], &[0xff; 15]].concat()));
    assert_eq!(stored(IntegerBlob(1_u64)), Value::Blob(vec![0, 0, 0, 0, 0, 0, 0, 1]));
    assert_eq!(unread::<IntegerBlob<u64>>([0; 16]), "16 bytes, not 8 (IntegerBlob<u64>)");
    assert_eq!(unread::<IntegerBlob<i128>>("sixteen letters."), "not readable as IntegerBlob<i128>");
}

#[test]
fn durations_are_whole_units() {
    let duration = Duration::new(7, 123_456_789);
    assert_eq!(stored(Seconds(duration)), Value::Integer(7));
    assert_eq!(stored(Millis(duration)), Value::Integer(7_123));
    assert_eq!(stored(Micros(duration)), Value::Integer(7_123_456));
    assert_eq!(stored(Nanos(duration)), Value::Integer(7_123_456_789));
    assert_eq!(read::<Nanos>(Nanos(duration)), Nanos(duration));
    assert_eq!(read::<Micros>(Micros(duration)).0, Duration::from_micros(7_123_456));
    assert_eq!(read::<Seconds>(i64::MAX).0, Duration::from_secs(i64::MAX as u64));
    assert_eq!(unread::<Millis>(-1), "out of range for Millis");
    assert_eq!(unread::<Millis>("1"), "not readable as Millis");
    assert_eq!(unbound(Nanos(Duration::MAX)), "out of range for Nanos");
    assert_eq!(unbound(Seconds(Duration::MAX)), "out of range for Seconds");
    let largest = Duration::from_nanos(i64::MAX as u64);
    assert_eq!(read::<Nanos>(Nanos(largest)).0, largest);
}

#[test]
fn integers_other_than_zero() {
    let number = NonZero::new(-7_i64).unwrap();
    assert_eq!(stored(number), Value::Integer(-7));
    assert_eq!(read::<NonZero<i64>>(&number), number);
    assert_eq!(read::<Option<NonZero<u8>>>(None::<i64>), None);
    assert_eq!(unread::<NonZero<u8>>(0), "out of range for NonZero<u8>");
    assert_eq!(unread::<NonZero<u8>>(256), "out of range for NonZero<u8>");
    let reason = "18446744073709551615 (u64) does not fit in an INTEGER, 64 bits with sign";
    assert_eq!(unbound(NonZero::<u64>::MAX), reason);
}

#[test]
fn paths_are_text() {
    let path = Path::new("dir/grüße.txt");
    assert_eq!(text(path), "dir/grüße.txt");
    assert_eq!(text(path.to_owned()), "dir/grüße.txt");
    assert_eq!(read::<PathBuf>(path), path);
    let conn = Connection::open_in_memory().unwrap();
    conn.query_row("SELECT ?", (path,), |row| {
        assert_eq!(row.get::<&Path>(0)?, path);
        Ok(())
    })
    .unwrap();
    assert_eq!(unread::<PathBuf>(*b"dir"), "not readable as PathBuf");
}

#[test]
#[cfg(unix)]
fn a_path_that_is_not_utf8_is_an_error() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(OsStr::from_bytes(b"hunter2\xff"));
    assert_eq!(unbound(path), "the path is not UTF-8 (Path)");
    assert_eq!(unbound(path.to_owned()), "the path is not UTF-8 (Path)");
    // Its bytes are a BLOB.
    let bytes: Vec<u8> = read(path.as_os_str().as_bytes());
    assert_eq!(Path::new(OsStr::from_bytes(&bytes)), path);
}

#[test]
fn addresses_are_text() {
    assert_eq!(text(Ipv4Addr::LOCALHOST), "127.0.0.1");
    assert_eq!(text(Ipv6Addr::LOCALHOST), "::1");
    let socket: SocketAddr = "[2001:db8::1]:443".parse().unwrap();
    assert_eq!(text(socket), "[2001:db8::1]:443");
    assert_eq!(read::<SocketAddr>(socket), socket);
    for text in ["hunter2", "127.0.0.1.1", "127.0.0.01", "::1", ""] {
        assert_eq!(unread::<Ipv4Addr>(text), "not such an address (Ipv4Addr)", "{text}");
    }
}

#[test]
fn functions_take_and_return_them() {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_975_499_000);
    passes_through_a_function(time);
    passes_through_a_function(UnixSeconds(time));
    passes_through_a_function(UnixMillis(time));
    passes_through_a_function(UnixMicros(time));
    passes_through_a_function(UnixNanos(time));
    passes_through_a_function(JulianDay(time));
    passes_through_a_function(IsoT(time));
    passes_through_a_function(IsoUtc(time));
    passes_through_a_function(Seconds(Duration::from_secs(7)));
    passes_through_a_function(Millis(Duration::from_secs(7)));
    passes_through_a_function(Micros(Duration::from_secs(7)));
    passes_through_a_function(Nanos(Duration::from_secs(7)));
    passes_through_a_function(NonZero::new(7_u32).unwrap());
    passes_through_a_function(U64Bits(u64::MAX));
    passes_through_a_function(IntegerBlob(i128::MIN));
    passes_through_a_function('ü');
    passes_through_a_function(PathBuf::from("dir/file"));
    passes_through_a_function(Ipv4Addr::LOCALHOST);
    let conn = Connection::open_in_memory().unwrap();
    conn.create_scalar_function("extension", |path: &Path| path.extension().map(|it| it.display().to_string()))
        .unwrap();
    assert_eq!(conn.query_one::<String>("SELECT extension('a/b.txt')", ()).unwrap(), "txt");
}
