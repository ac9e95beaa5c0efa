//! Clocks whose times are numbers: a precise one, and a cheap one for times that are shown in milliseconds.

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub(crate) use linux::{coarse_nanoseconds, nanoseconds};

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod linux {
    use std::ffi::c_int;

    const CLOCK_MONOTONIC: c_int = 1;
    const CLOCK_MONOTONIC_COARSE: c_int = 6;

    #[repr(C)]
    struct Timespec {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    }

    #[inline]
    fn read(clock: c_int) -> u64 {
        let mut time = Timespec { seconds: 0, nanoseconds: 0 };
        // SAFETY: the struct has the layout of C's `timespec` on a 64-bit Linux, and `time` lives during the call,
        // which fills it (rule 24). The call cannot fail: both clocks exist since Linux 2.6.32 (clock_gettime(2)).
        unsafe { clock_gettime(clock, &raw mut time) };
        time.seconds.unsigned_abs() * 1_000_000_000 + time.nanoseconds.unsigned_abs()
    }

    /// Returns the nanoseconds since an unspecified moment, accurate to a few milliseconds. It costs a fifth of
    /// `Instant::now`.
    #[inline]
    pub(crate) fn coarse_nanoseconds() -> u64 {
        read(CLOCK_MONOTONIC_COARSE)
    }

    /// Returns the nanoseconds since an unspecified moment.
    #[inline]
    pub(crate) fn nanoseconds() -> u64 {
        read(CLOCK_MONOTONIC)
    }
}

/// Returns the nanoseconds since an unspecified moment: no cheaper clock is used on other systems.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub(crate) fn coarse_nanoseconds() -> u64 {
    nanoseconds()
}

/// Returns the nanoseconds since an unspecified moment.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub(crate) fn nanoseconds() -> u64 {
    use std::time::Instant;

    use super::append_list::AppendList;

    static START: AppendList<Instant> = AppendList::new();
    let start = START.last_or_push(|_| true, Instant::now);
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_goes_on() {
        let (before, precisely) = (coarse_nanoseconds(), nanoseconds());
        thread::sleep(Duration::from_millis(50));
        let after = coarse_nanoseconds();
        // Each reading may be late by some milliseconds.
        assert!(after - before >= 30_000_000, "{}", after - before);
        assert!(nanoseconds() - precisely >= 50_000_000);
    }
}
