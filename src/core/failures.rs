//! Number of failed opens and closes of connections, by SQLite's result code.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ResultCode};

/// Primary result codes go up to 28. A failure without a SQLite result code is counted at index 0, which is `SQLITE_OK`
/// and thus no failure of SQLite.
const CODES: usize = 32;

/// Counters of failures, one for each primary code.
pub(crate) struct Failures([AtomicU64; CODES]);

/// Failures to open a connection.
pub(crate) static OPEN: Failures = Failures::none();
/// Failures to close a connection.
pub(crate) static CLOSE: Failures = Failures::none();

impl Failures {
    const fn none() -> Self {
        Self([const { AtomicU64::new(0) }; CODES])
    }

    pub(crate) fn count(&self, error: &Error) {
        let code = error.code().map_or(0, |code| code.primary().number());
        let place = usize::try_from(code).ok().and_then(|code| self.0.get(code)).unwrap_or(&self.0[1]);
        place.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the names of the codes that occurred, with their counts. `none` counts the failures without a SQLite
    /// result code.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let name = |code| if code == 0 { "none" } else { ResultCode::new(code).name() };
        let counts = (0..).zip(&self.0).map(|(code, count)| (name(code), count.load(Ordering::Relaxed)));
        counts.filter(|&(_, count)| count > 0).collect()
    }
}
