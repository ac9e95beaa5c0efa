//! Figures of each step of a statement, where SQLite was compiled to take them (feature `scan-status`).

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::Stmt;
use crate::raw::{ffi, text};

unsafe extern "C" {
    // The oldest bindings lack it. sqlite.org/c3ref/stmt_scanstatus.html
    fn sqlite3_stmt_scanstatus_v2(
        statement: *mut ffi::sqlite3_stmt,
        step: c_int,
        figure: c_int,
        flags: c_int,
        place: *mut c_void,
    ) -> c_int;
}

/// Figures, by their numbers in C (`SQLITE_SCANSTAT_..`), of which the oldest bindings lack some.
const LOOPS: c_int = 0;
const VISITS: c_int = 1;
const ESTIMATE: c_int = 2;
const NAME: c_int = 3;
const EXPLAIN: c_int = 4;
const SELECT_ID: c_int = 5;
const PARENT_ID: c_int = 6;
const CYCLES: c_int = 7;
/// Flag: all steps, and not only loops.
const COMPLEX: c_int = 1;

/// A step of a statement. A figure is negative where SQLite has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawScanStep {
    pub(crate) loops: i64,
    pub(crate) visits: i64,
    pub(crate) estimate: f64,
    pub(crate) name: Option<Box<str>>,
    pub(crate) explain: Box<str>,
    pub(crate) id: i32,
    pub(crate) parent: i32,
    pub(crate) cycles: i64,
}

impl Stmt<'_> {
    /// Returns the steps with what was measured since the last reset of the figures.
    pub(crate) fn scan_status(&self) -> Vec<RawScanStep> {
        (0..).map_while(|step| self.scan_step(step)).collect()
    }

    fn scan_step(&self, step: c_int) -> Option<RawScanStep> {
        let (mut name, mut explain): (*const c_char, *const c_char) = (ptr::null(), ptr::null());
        let mut found = RawScanStep { loops: -1, visits: -1, cycles: -1, ..RawScanStep::default() };
        let figures: [(c_int, *mut c_void); 8] = [
            (EXPLAIN, (&raw mut explain).cast()),
            (LOOPS, (&raw mut found.loops).cast()),
            (VISITS, (&raw mut found.visits).cast()),
            (ESTIMATE, (&raw mut found.estimate).cast()),
            (NAME, (&raw mut name).cast()),
            (SELECT_ID, (&raw mut found.id).cast()),
            (PARENT_ID, (&raw mut found.parent).cast()),
            (CYCLES, (&raw mut found.cycles).cast()),
        ];
        for (figure, place) in figures {
            // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19); it reads what is in memory
            // (rule 20). c3ref/stmt_scanstatus.html: the place is of the type that belongs to the figure, and any index
            // is allowed: the result is not 0 for one without a step.
            let code = unsafe { sqlite3_stmt_scanstatus_v2(self.core().ptr.as_ptr(), step, figure, COMPLEX, place) };
            if code != 0 {
                return None;
            }
        }
        // SAFETY: NULL or NUL-terminated; the statement owns the text, which is copied (rule 22).
        found.name = unsafe { text::copy(name) };
        // SAFETY: as for the name: NULL or NUL-terminated, and copied (rule 22).
        found.explain = unsafe { text::copy(explain) }.unwrap_or_default();
        Some(found)
    }

    /// Sets the figures to 0.
    pub(crate) fn reset_scan_status(&mut self) {
        // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19); the call writes to memory alone
        // (rule 20, c3ref/stmt_scanstatus_reset.html).
        unsafe { ffi::sqlite3_stmt_scanstatus_reset(self.core().ptr.as_ptr()) }
    }
}
