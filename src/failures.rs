//! How often opening and closing failed, by SQLite's result code.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ResultCode;
use crate::error::Error;

/// Primary codes go up to 28; what is no failure of SQLite's is counted at 0, which is none of its failures.
const CODES: usize = 32;

/// One counter for each primary code.
pub(crate) struct Failures([AtomicU64; CODES]);

/// Of connections that did not open.
pub(crate) static OPEN: Failures = Failures::none();
/// Of connections that did not close.
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

    /// The codes that occurred, by name, and how often each did. `none` is what finalite refused by itself.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let name = |code| if code == 0 { "none" } else { ResultCode::new(code).name() };
        let counts = (0..).zip(&self.0).map(|(code, count)| (name(code), count.load(Ordering::Relaxed)));
        counts.filter(|&(_, count)| count > 0).collect()
    }
}
