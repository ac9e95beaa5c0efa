//! Counts and times of what connections do: executions, commits, waits for locks.
//!
//! Counts are always taken, where they are free: executions are the closed handles of the kind `Rows`, a commit is a
//! store to the thread's shard, and the rest happens only where something has already taken long or failed. Times are
//! taken while [`TIMING`] is requested. They need two reads of a clock, a tenth of a cached lookup, so of executions that
//! only read one in [`SAMPLED`] is timed, and counts for all of them. A coarse clock, which costs little, tells whether
//! the others are slow. A connection with a threshold for slow executions reads the precise clock for each.

use std::collections::VecDeque;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::PerProcess;
use super::counts;
use super::demand::Demands;
use crate::raw::os::clock;

/// Number of classes of a [`Times`]: class n has the times of less than 2^n microseconds that no lower class has, and
/// the last one all others.
pub(crate) const CLASSES: usize = 28;

/// Kind of execution whose times are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timed {
    /// Every execution.
    Execution,
    /// Those of `COMMIT` and `RELEASE`.
    Commit,
    /// Those of `BEGIN IMMEDIATE` and `BEGIN EXCLUSIVE`, which wait for the lock for writing.
    WriteLock,
}

impl Timed {
    pub(crate) const COUNT: usize = 3;

    /// Returns the kind besides `Execution` to which a statement belongs.
    fn of(sql: &str) -> Option<Self> {
        let mut words = sql.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let (first, second) = (words.next()?, words.next().unwrap_or_default());
        let is_one_of = |word: &str, of: &[&str]| of.iter().any(|known| word.eq_ignore_ascii_case(known));
        if is_one_of(first, &["COMMIT", "END", "RELEASE"]) {
            Some(Self::Commit)
        } else if is_one_of(first, &["BEGIN"]) && is_one_of(second, &["IMMEDIATE", "EXCLUSIVE"]) {
            Some(Self::WriteLock)
        } else {
            None
        }
    }
}

/// Requests to take times.
pub(crate) static TIMING: Demands = Demands::none();

/// Whether executions are timed in the whole process.
#[inline(always)]
pub(crate) fn is_timing() -> bool {
    TIMING.exist()
}

/// Of this many executions that only read, one is timed.
pub(crate) const SAMPLED: u8 = 8;

/// Start of an execution. It is two words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    nanoseconds: u64,
    is_coarse: bool,
    /// Number of executions that it counts for; 0: it is not counted.
    weight: u8,
}

impl Start {
    /// Returns the current time; `None` if it is not wanted.
    #[inline]
    pub(crate) fn now(has_threshold: bool, reads_only: bool) -> Option<Self> {
        (has_threshold || is_timing()).then(|| Self::read(has_threshold, reads_only))
    }

    #[cold]
    #[inline(never)]
    fn read(has_threshold: bool, reads_only: bool) -> Self {
        let weight = match (is_timing(), reads_only) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) if counts::own_executions().is_multiple_of(u64::from(SAMPLED)) => SAMPLED,
            (true, true) => 0,
        };
        let is_coarse = weight == 0 && !has_threshold;
        Self { nanoseconds: Self::read_clock(is_coarse), is_coarse, weight }
    }

    fn read_clock(is_coarse: bool) -> u64 {
        if is_coarse { clock::coarse_nanoseconds() } else { clock::nanoseconds() }
    }

    pub(crate) fn elapsed(self) -> Duration {
        Duration::from_nanos(Self::read_clock(self.is_coarse).saturating_sub(self.nanoseconds))
    }
}

/// Durations by class, and their sum.
pub(super) struct Times {
    classes: [AtomicU64; CLASSES],
    nanoseconds: AtomicU64,
}

impl Times {
    pub(super) const fn new() -> Self {
        Self { classes: [const { AtomicU64::new(0) }; CLASSES], nanoseconds: AtomicU64::new(0) }
    }
}

/// Sum of the [`Times`] of all threads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TimesTotal {
    pub(crate) classes: [u64; CLASSES],
    pub(crate) nanoseconds: u64,
}

fn class_of(duration: Duration) -> usize {
    let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let bits = u64::BITS - microseconds.leading_zeros();
    CLASSES.min(bits as usize + 1) - 1
}

fn add(timed: Timed, duration: Duration, weight: u64) {
    let (class, nanoseconds) = (class_of(duration), u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    counts::add(|shard| &shard.times[timed as usize].classes[class], weight);
    counts::add(|shard| &shard.times[timed as usize].nanoseconds, nanoseconds.saturating_mul(weight));
}

pub(crate) fn times(timed: Timed) -> TimesTotal {
    let sum = |pick: &dyn Fn(&Times) -> &AtomicU64| counts::sum(|shard| pick(&shard.times[timed as usize]));
    TimesTotal {
        classes: std::array::from_fn(|class| sum(&|times| &times.classes[class])),
        nanoseconds: sum(&|times| &times.nanoseconds),
    }
}

/// Execution that took long.
#[derive(Clone, Debug)]
pub(crate) struct Slow {
    pub(crate) connection: u64,
    pub(crate) sql: Box<str>,
    pub(crate) site: &'static Location<'static>,
    pub(crate) took: Duration,
    pub(crate) ended: Instant,
}

#[derive(Default)]
struct SlowOnes {
    count: u64,
    last: VecDeque<Slow>,
}

/// Number of slow executions that are kept.
pub(crate) const SLOW_MAX: usize = 32;

/// Time from which an execution is slow where its connection has no threshold.
pub(crate) const SLOW: Duration = Duration::from_millis(100);

static SLOW_ONES: PerProcess<SlowOnes> = PerProcess::new(SlowOnes::default);

/// Counts an execution that took this long, and keeps it if that is at least the threshold.
pub(crate) fn ended(
    start: Start,
    took: Duration,
    threshold: Option<Duration>,
    connection: u64,
    sql: &str,
    site: &'static Location<'static>,
) {
    if start.weight > 0 {
        add(Timed::Execution, took, u64::from(start.weight));
    }
    // Those that only read have no other kind.
    if start.weight == 1
        && let Some(timed) = Timed::of(sql)
    {
        add(timed, took, 1);
    }
    if took >= threshold.unwrap_or(SLOW) {
        let one = Slow { connection, sql: super::registry::beginning(sql), site, took, ended: Instant::now() };
        let mut slow = SLOW_ONES.lock();
        slow.count += 1;
        if slow.last.len() == SLOW_MAX {
            slow.last.pop_front();
        }
        slow.last.push_back(one);
    }
}

/// Returns the number of slow executions, and the last of them, oldest first.
pub(crate) fn slow() -> (u64, Vec<Slow>) {
    let slow = SLOW_ONES.lock();
    (slow.count, slow.last.iter().cloned().collect())
}

/// Calls that another connection's lock prevented.
static BUSY: AtomicU64 = AtomicU64::new(0);
static LOCK_RETRIES: AtomicU64 = AtomicU64::new(0);
static LOCK_RETRY_NANOSECONDS: AtomicU64 = AtomicU64::new(0);

/// Counts a call that failed with `SQLITE_BUSY` or `SQLITE_LOCKED`.
#[cold]
pub(crate) fn busy() {
    BUSY.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn busy_total() -> u64 {
    BUSY.load(Ordering::Relaxed)
}

/// Counts a pause before finalite tries again to get a lock.
pub(crate) fn lock_retry(pause: Duration) {
    LOCK_RETRIES.fetch_add(1, Ordering::Relaxed);
    LOCK_RETRY_NANOSECONDS.fetch_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Returns the number of pauses, and their sum.
pub(crate) fn lock_retries() -> (u64, Duration) {
    let nanoseconds = LOCK_RETRY_NANOSECONDS.load(Ordering::Relaxed);
    (LOCK_RETRIES.load(Ordering::Relaxed), Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_ends_at_a_power_of_two() {
        let class = |nanoseconds| class_of(Duration::from_nanos(nanoseconds));
        assert_eq!([0, 999, 1000, 1999, 2000, 3999, 4000].map(class), [0, 0, 1, 1, 2, 2, 3]);
        assert_eq!(class_of(Duration::from_micros((1 << 26) - 1)), 26);
        assert_eq!(class_of(Duration::from_micros(1 << 26)), 27);
        assert_eq!(class_of(Duration::MAX), 27);
    }

    #[test]
    fn a_statement_has_a_kind() {
        for (sql, timed) in [
            ("COMMIT", Some(Timed::Commit)),
            ("  end transaction", Some(Timed::Commit)),
            ("RELEASE \"a\"", Some(Timed::Commit)),
            ("begin immediate", Some(Timed::WriteLock)),
            ("BEGIN EXCLUSIVE TRANSACTION", Some(Timed::WriteLock)),
            ("BEGIN", None),
            ("SELECT 'COMMIT'", None),
            ("", None),
        ] {
            assert_eq!(Timed::of(sql), timed, "{sql}");
        }
    }
}
