//! Queries of R-trees: registration, and the trampolines of their callbacks.

use std::any::Any;
use std::ffi::{CStr, c_int};
use std::panic::Location;
use std::ptr::NonNull;
use std::slice;

use super::callback::{CallbackFailure, Entry, Held, release_held};
use super::value::{self, OutOfMemory};
use super::{Db, dispatch, ffi, library};
use crate::error::{Fault, FaultKind};
use crate::value::ValueRef;

/// Relation of a box to what is looked for, as C numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawWithin(c_int);

impl RawWithin {
    pub(crate) const NOT: Self = Self(ffi::NOT_WITHIN);
    pub(crate) const PARTLY: Self = Self(ffi::PARTLY_WITHIN);
    pub(crate) const FULLY: Self = Self(ffi::FULLY_WITHIN);
}

/// One call of a query callback, for a box.
pub(crate) struct RtreeCall<'call> {
    info: NonNull<ffi::sqlite3_rtree_query_info>,
    db: &'call Db,
}

impl<'call> RtreeCall<'call> {
    /// Returns the members. No reference to the struct exists, in which SQLite and `set_state` write.
    fn info(&self) -> ffi::sqlite3_rtree_query_info {
        // SAFETY: SQLite's struct of the call that runs, which `'call` does not outlive (rule 27).
        unsafe { self.info.read() }
    }

    /// Returns the least and the greatest coordinate of each dimension.
    pub(crate) fn coordinates(&self) -> &'call [f64] {
        let info = self.info();
        // SAFETY: SQLite passes so many coordinates for the call (rule 27).
        unsafe { numbers(info.aCoord, info.nCoord) }
    }

    /// Returns the parameters of the function in SQL, as numbers.
    pub(crate) fn parameters(&self) -> &'call [f64] {
        let info = self.info();
        // SAFETY: SQLite has as many numbers as parameters, for the whole query (rule 27).
        unsafe { numbers(info.aParam, info.nParam) }
    }

    /// Returns a parameter of the function in SQL, 0-based, as SQLite has it. `Ok(None)` if there is none.
    pub(crate) fn parameter(&self, index: usize) -> Result<Option<ValueRef<'call>>, Fault> {
        if index >= self.parameters().len() {
            return Ok(None);
        }
        let info = self.info();
        // SAFETY: an array of as many values as parameters, and `index` is below their number (rule 27).
        let place = unsafe { info.apSqlParam.add(index) };
        // SAFETY: an element of that array, which SQLite keeps until it filters the table anew (rule 27).
        let parameter = unsafe { place.read() };
        let _charge = self.db.charge();
        // SAFETY: a copy of SQLite's, as long as the array: a protected value, which is read as its own type alone (rules
        // 9, 12, 27).
        match unsafe { value::read(parameter) } {
            Ok(value) => Ok(Some(value)),
            Err(OutOfMemory) => Err(Fault::no_memory()),
        }
    }

    /// Returns the level of the box: 0 for an entry of the table, and above it for nodes of the tree.
    pub(crate) fn level(&self) -> usize {
        to_usize(self.info().iLevel)
    }

    pub(crate) fn level_max(&self) -> usize {
        to_usize(self.info().mxLevel)
    }

    pub(crate) fn rowid(&self) -> i64 {
        self.info().iRowid
    }

    pub(crate) fn parent_score(&self) -> f64 {
        self.info().rParentScore
    }

    pub(crate) fn parent_within(&self) -> RawWithin {
        RawWithin(self.info().eParentWithin)
    }

    /// Returns the number of boxes of a level that wait to be visited.
    pub(crate) fn waiting(&self, level: usize) -> Option<u32> {
        if level >= self.level_max() {
            return None;
        }
        let info = self.info();
        // SAFETY: SQLite's array has a number for each level of the tree (rule 27).
        let place = unsafe { info.anQueue.add(level) };
        // SAFETY: an element of that array, valid during the call (rule 27).
        Some(unsafe { place.read() })
    }

    /// Returns the state of the query that an earlier call stored.
    pub(crate) fn state(&self) -> Option<&'call (dyn Any + Send)> {
        let held = NonNull::new(self.info().pUser.cast::<Held>())?;
        // SAFETY: stored by `set_state`, from `Held::new`; SQLite releases it when the query ends, after this call
        // (rules 15, 27).
        Some(&*unsafe { held.as_ref() }.value)
    }

    /// Stores the state of the query, which has none. Returns it.
    pub(crate) fn set_state(&self, state: Box<dyn Any + Send>) -> &'call (dyn Any + Send) {
        debug_assert!(self.state().is_none());
        let held = Held::new(self.db, state);
        let info = self.info.as_ptr();
        // SAFETY: SQLite's struct of the call that runs; rtree.html, "The New-Style xQueryFunc": the callback sets both,
        // and SQLite calls the destructor when the query ends (rule 27).
        unsafe { (*info).pUser = held.as_ptr().cast() }
        // SAFETY: as for the pointer: the destructor that belongs to it (rules 15, 27).
        unsafe { (*info).xDelUser = Some(release_held) }
        // SAFETY: created above, and released after this call (rules 15, 27).
        &*unsafe { held.as_ref() }.value
    }
}

/// Returns an error if this SQLite passes integers in place of reals.
fn check_reals() -> Result<(), Fault> {
    if cfg!(feature = "loadable-extension") {
        // `sqlite3_api_routines` lacks them.
        return Err(Fault::new(FaultKind::Unsupported("R-trees: an extension cannot register their callbacks".into())));
    }
    match library::compile_options().any(|option| option == "RTREE_INT_ONLY") {
        false => Ok(()),
        true => Err(Fault::new(FaultKind::Unsupported("R-trees: SQLite was compiled with integers alone".into()))),
    }
}

impl Db {
    /// Registers a geometry callback, which gets the coordinates of a box and the parameters, and returns whether they
    /// overlap. Returns whether it replaced a function of the program's.
    pub(crate) fn create_rtree_geometry<F>(
        &self,
        name: &CStr,
        site: &'static Location<'static>,
        overlaps: F,
    ) -> Result<bool, Fault>
    where
        F: Fn(&[f64], &[f64]) -> Result<bool, CallbackFailure> + Send + 'static,
    {
        check_reals()?;
        let entered = self.enter_to_register()?;
        self.register_shape(&entered, name, site, overlaps, |entry| {
            // SAFETY: the connection is open (entered, rule 20), and the name NUL-terminated (rule 22). `entry` is an
            // `Entry<F>`, which lives until SQLite has let go of the function (rules 14, 27).
            unsafe { dispatch::rtree_geometry_callback(entered.db(), name.as_ptr(), Some(geometry::<F>), entry) }
        })
    }

    /// Registers a query callback, which returns a relation and a score. Returns whether it replaced a function of the
    /// program's.
    pub(crate) fn create_rtree_query<F>(
        &self,
        name: &CStr,
        site: &'static Location<'static>,
        judge: F,
    ) -> Result<bool, Fault>
    where
        F: Fn(&RtreeCall<'_>) -> Result<(RawWithin, f64), CallbackFailure> + Send + 'static,
    {
        check_reals()?;
        let entered = self.enter_to_register()?;
        self.register_shape(&entered, name, site, judge, |entry| {
            // SAFETY: as for a geometry callback (rules 14, 20, 22, 27); the destructor may be NULL.
            unsafe { dispatch::rtree_query_callback(entered.db(), name.as_ptr(), Some(query::<F>), entry, None) }
        })
    }
}

unsafe extern "C" fn geometry<F>(
    geometry: *mut ffi::sqlite3_rtree_geometry,
    count: c_int,
    coordinates: *mut f64,
    overlaps: *mut c_int,
) -> c_int
where
    F: Fn(&[f64], &[f64]) -> Result<bool, CallbackFailure> + Send + 'static,
{
    // SAFETY: SQLite's struct of the query, which it does not change during the call (rule 27).
    let geometry = unsafe { &*geometry };
    // SAFETY: SQLite calls what `create_rtree_geometry` registered, with an `Entry<F>` (rules 14, 27).
    let entry = unsafe { Entry::<F>::of(geometry.pContext) };
    // SAFETY: SQLite passes so many coordinates (rule 27).
    let coordinates = unsafe { numbers(coordinates, count) };
    // SAFETY: SQLite has so many parameters, for the whole query (rule 27).
    let parameters = unsafe { numbers(geometry.aParam, geometry.nParam) };
    let db = entry.db();
    let done = entry
        .call_back(|function| function(coordinates, parameters).map_err(|failure| db.keep_failure_of_code(failure)));
    match done {
        Some(Ok(is_overlap)) => {
            // SAFETY: SQLite's place for the result of the call (rule 27).
            unsafe { overlaps.write(c_int::from(is_overlap)) }
            ffi::SQLITE_OK
        }
        Some(Err(code)) => code,
        None => ffi::SQLITE_ERROR,
    }
}

unsafe extern "C" fn query<F>(info: *mut ffi::sqlite3_rtree_query_info) -> c_int
where
    F: Fn(&RtreeCall<'_>) -> Result<(RawWithin, f64), CallbackFailure> + Send + 'static,
{
    let Some(info) = NonNull::new(info) else {
        return ffi::SQLITE_ERROR;
    };
    // SAFETY: SQLite's struct of the call which is copied, as no reference to it may exist (rule 27).
    let context = unsafe { info.read() }.pContext;
    // SAFETY: SQLite calls what `create_rtree_query` registered, with an `Entry<F>` (rules 14, 27).
    let entry = unsafe { Entry::<F>::of(context) };
    let db = entry.db();
    let done = entry
        .call_back(|function| function(&RtreeCall { info, db }).map_err(|failure| db.keep_failure_of_code(failure)));
    match done {
        Some(Ok((RawWithin(within), score))) => {
            // SAFETY: SQLite's struct of the call, in which the callback sets its result (rule 27).
            unsafe { (*info.as_ptr()).eWithin = within }
            // SAFETY: as for the relation: the second part of the result (rule 27).
            unsafe { (*info.as_ptr()).rScore = score }
            ffi::SQLITE_OK
        }
        Some(Err(code)) => code,
        None => ffi::SQLITE_ERROR,
    }
}

/// Returns numbers that C passes.
///
/// # Safety
///
/// So many can be read from the address while `'a` lasts.
unsafe fn numbers<'a>(numbers: *const f64, count: c_int) -> &'a [f64] {
    match usize::try_from(count) {
        // SAFETY: the caller promises so many numbers (rule 22).
        Ok(count) if count > 0 && !numbers.is_null() => unsafe { slice::from_raw_parts(numbers, count) },
        _ => &[],
    }
}

fn to_usize(number: c_int) -> usize {
    usize::try_from(number).unwrap_or(0)
}
