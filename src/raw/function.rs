//! SQL functions: registration, and the trampolines of their calls.

use std::any::Any;
use std::ffi::{CStr, c_int, c_void};
use std::panic::Location;
use std::ptr::{self, NonNull};

use super::callback::{Destroy, Entry, Held, Key, StateId, release_held};
use super::db::Entered;
use super::value::{self, OutOfMemory};
use super::{Db, ffi};
use crate::error::{Fault, FunctionFault};
use crate::value::{RawParam, ValueRef};

/// Name, number of arguments and properties of a function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signature<'a> {
    pub(crate) name: &'a CStr,
    /// Number of arguments; `None` for any.
    pub(crate) arguments: Option<u8>,
    pub(crate) properties: Properties,
}

/// Properties of a function (`c3ref/c_deterministic.html`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Properties {
    pub(crate) is_deterministic: bool,
    pub(crate) is_direct_only: bool,
    pub(crate) is_innocuous: bool,
    pub(crate) reads_subtypes: bool,
    pub(crate) sets_subtype: bool,
}

/// `SQLITE_RESULT_SUBTYPE`, which the oldest bindings lack.
const RESULT_SUBTYPE: c_int = 0x0100_0000;

impl Signature<'_> {
    fn key(&self) -> Key {
        Key::Function(self.name.to_string_lossy().to_ascii_lowercase().into(), self.arguments)
    }

    fn count(&self) -> c_int {
        self.arguments.map_or(-1, c_int::from)
    }

    /// Returns the properties as flags of SQLite's, without the encoding of text.
    fn flags(&self) -> c_int {
        let Properties { is_deterministic, is_direct_only, is_innocuous, reads_subtypes, sets_subtype } =
            self.properties;
        [
            (is_deterministic, ffi::SQLITE_DETERMINISTIC),
            (is_direct_only, ffi::SQLITE_DIRECTONLY),
            (is_innocuous, ffi::SQLITE_INNOCUOUS),
            (reads_subtypes, ffi::SQLITE_SUBTYPE),
            (sets_subtype, RESULT_SUBTYPE),
        ]
        .into_iter()
        .filter(|(is_set, _)| *is_set)
        .fold(0, |flags, (_, flag)| flags | flag)
    }
}

/// An aggregate function. The state travels as `Any`, as one list owns the states of all functions.
pub(crate) trait RawAggregate: Send + 'static {
    /// Returns the state of a new group.
    fn start(&self) -> Box<dyn Any + Send>;

    /// Takes a row into the state. Returns whether it succeeded; the error is stored in the call.
    fn step(&self, state: &mut (dyn Any + Send), call: &Call<'_>) -> bool;

    /// Takes a row out of the state.
    fn inverse(&self, state: &mut (dyn Any + Send), call: &Call<'_>) -> bool;

    /// Sets the result of the call for the rows so far.
    fn value(&self, state: &(dyn Any + Send), call: &Call<'_>);

    /// Sets the result of the call for all rows.
    fn finish(&self, state: Box<dyn Any + Send>, call: &Call<'_>);
}

impl Db {
    /// Registers a scalar function. Returns whether it replaced one of the program's.
    pub(crate) fn create_scalar<F: Fn(&Call<'_>) + Send + 'static>(
        &self,
        signature: Signature<'_>,
        site: &'static Location<'static>,
        function: F,
    ) -> Result<bool, Fault> {
        let entered = self.enter_to_register()?;
        self.register_function(&entered, signature, site, function, |entry, destroy, encoding| {
            // SAFETY: the connection is open (entered, rule 20), and the name NUL-terminated (rule 22). `entry` is the
            // address of an `Entry<F>`, which lives until SQLite has let go of it (rule 14); its destructor is `destroy`.
            // c3ref/create_function.html: a scalar function has xFunc alone.
            unsafe {
                ffi::sqlite3_create_function_v2(
                    entered.db(),
                    signature.name.as_ptr(),
                    signature.count(),
                    signature.flags() | encoding,
                    entry,
                    Some(scalar::<F>),
                    None,
                    None,
                    destroy,
                )
            }
        })
    }

    /// Registers an aggregate function; a window function if `is_window`. Returns whether it replaced one of the
    /// program's.
    pub(crate) fn create_aggregate<A: RawAggregate>(
        &self,
        signature: Signature<'_>,
        site: &'static Location<'static>,
        function: A,
        is_window: bool,
    ) -> Result<bool, Fault> {
        let entered = self.enter_to_register()?;
        self.register_function(&entered, signature, site, function, |entry, destroy, encoding| {
            // SAFETY: as in `create_scalar`: an open connection, a NUL-terminated name, and an `Entry<A>` that lives
            // until SQLite has let go of it (rules 14, 20, 22). c3ref/create_function.html: xValue and xInverse are
            // both given, or both NULL "in which case a regular aggregate function is created".
            unsafe {
                ffi::sqlite3_create_window_function(
                    entered.db(),
                    signature.name.as_ptr(),
                    signature.count(),
                    signature.flags() | encoding,
                    entry,
                    Some(step::<A>),
                    Some(finish::<A>),
                    is_window.then_some(value_so_far::<A> as unsafe extern "C" fn(*mut ffi::sqlite3_context)),
                    is_window.then_some(
                        inverse::<A>
                            as unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value),
                    ),
                    destroy,
                )
            }
        })
    }

    /// Registers a function. Returns whether it replaced one of the program's. `install` gets the encoding of text besides
    /// the entry.
    ///
    /// SQLite has a function of any number of arguments for each encoding. R-trees register all three, and one that was
    /// removed hides those of the other encodings: where there was an R-tree's, all three change together. They are removed
    /// first, so that a running statement refuses them before one of them calls the new closure.
    pub(super) fn register_function<F: Send + 'static>(
        &self,
        entered: &Entered<'_>,
        signature: Signature<'_>,
        site: &'static Location<'static>,
        function: F,
        install: impl FnOnce(*mut c_void, Destroy, c_int) -> c_int,
    ) -> Result<bool, Fault> {
        let key = signature.key();
        if signature.arguments.is_some() || !self.callbacks.has_shapes.get() {
            let install = |entry, destroy| install(entry, destroy, ffi::SQLITE_UTF8);
            return self.register(entered, key, site, function, install);
        }
        let is_removed = self.unregister(entered, &key, || remove(entered, signature))?;
        let mut failed = None;
        let is_replaced = self.register(entered, key, site, function, |entry, destroy| {
            let code = install(entry, destroy, ffi::SQLITE_ANY);
            if code == ffi::SQLITE_OK || remove(entered, signature) == ffi::SQLITE_OK {
                return code;
            }
            // A statement is running. SQLite may call the closure, for some encoding: the connection's list keeps it.
            failed = Some(code);
            ffi::SQLITE_OK
        })?;
        self.check(failed.unwrap_or(ffi::SQLITE_OK))?;
        Ok(is_removed || is_replaced)
    }

    /// Registers the function of an R-tree, which SQLite installs for each encoding of text. Returns whether it replaced
    /// one of the program's.
    pub(super) fn register_shape<F: Send + 'static>(
        &self,
        entered: &Entered<'_>,
        name: &CStr,
        site: &'static Location<'static>,
        function: F,
        install: impl FnOnce(*mut c_void) -> c_int,
    ) -> Result<bool, Fault> {
        self.callbacks.has_shapes.set(true);
        let signature = Signature { name, arguments: None, properties: Properties::default() };
        self.register_function(entered, signature, site, function, |entry, _, _| install(entry))
    }

    /// Removes a function that was registered with this name and number of arguments. Returns whether there was one.
    pub(crate) fn remove_function(&self, name: &CStr, arguments: Option<u8>) -> Result<bool, Fault> {
        let entered = self.enter_to_register()?;
        let signature = Signature { name, arguments, properties: Properties::default() };
        self.unregister(&entered, &signature.key(), || remove(&entered, signature))
    }
}

/// Removes a function for each encoding of text. SQLite refuses that before it has removed any.
fn remove(entered: &Entered<'_>, signature: Signature<'_>) -> c_int {
    // SAFETY: the connection is open (entered, rule 20), and the name NUL-terminated (rule 22). c3ref/create_function.html:
    // NULL functions remove the function, unless a statement is running, which might call it (rule 14); it is nothing to
    // remove one that does not exist.
    unsafe {
        ffi::sqlite3_create_function_v2(
            entered.db(),
            signature.name.as_ptr(),
            signature.count(),
            ffi::SQLITE_ANY,
            ptr::null_mut(),
            None,
            None,
            None,
            None,
        )
    }
}

/// One call of a function by SQL: its arguments, and the place of its result.
///
/// No reference to it is passed to a function that is not inlined ([`Call::aside`]): its fields stay in registers.
pub(crate) struct Call<'call> {
    context: NonNull<ffi::sqlite3_context>,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
    db: &'call Db,
}

impl<'call> Call<'call> {
    /// # Safety
    ///
    /// SQLite has called a function of `db` with this context and these arguments, and `'call` ends with that call.
    #[inline(always)]
    pub(super) unsafe fn new(
        context: *mut ffi::sqlite3_context,
        count: c_int,
        arguments: *mut *mut ffi::sqlite3_value,
        db: &'call Db,
    ) -> Self {
        // SAFETY: the context of a call, which is not NULL (the caller's promise, rule 15).
        let context = unsafe { NonNull::new_unchecked(context) };
        Self { context, count, arguments, db }
    }

    /// Returns an argument, 0-based.
    #[inline(always)]
    fn raw_argument(&self, index: usize) -> Option<*mut ffi::sqlite3_value> {
        let is_in_range = c_int::try_from(index).is_ok_and(|index| index < self.count);
        if !is_in_range {
            return None;
        }
        // SAFETY: `new` was given an array of `count` arguments, and `index` is below their number (rule 15).
        let argument = unsafe { self.arguments.add(index) };
        // SAFETY: an element of that array, which lives for the call (rule 15).
        Some(unsafe { argument.read() })
    }

    #[inline]
    pub(crate) fn db(&self) -> &'call Db {
        self.db
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    /// Returns an argument, 0-based; `None` if there is none, or if memory ran out, which is the result of the call
    /// then.
    #[inline(always)]
    pub(crate) fn argument(&self, index: usize) -> Option<ValueRef<'call>> {
        let argument = self.raw_argument(index)?;
        // SAFETY: an argument of the call is a protected value, valid and unchanged during the call, which `'call` does
        // not outlive, and it is read as its own type alone (rules 9, 12, 15).
        match unsafe { value::read(argument) } {
            Ok(value) => Some(value),
            Err(OutOfMemory) => {
                self.fail_for_memory();
                None
            }
        }
    }

    /// Returns an argument, 0-based, if it is an INTEGER.
    #[inline(always)]
    pub(crate) fn integer(&self, index: usize) -> Option<i64> {
        let argument = self.raw_argument(index)?;
        // SAFETY: an argument of the call, valid during it (rule 15); the type is read first (rule 9).
        if unsafe { ffi::sqlite3_value_type(argument) } != ffi::SQLITE_INTEGER {
            return None;
        }
        // SAFETY: the same argument; its type is INTEGER, so the call converts nothing (rule 9).
        Some(unsafe { ffi::sqlite3_value_int64(argument) })
    }

    /// Returns an argument, 0-based, if it is a number, or text that numeric affinity makes one.
    pub(crate) fn number(&self, index: usize) -> Option<ValueRef<'call>> {
        let value = self.argument(index)?;
        if !matches!(value, ValueRef::Text(_)) {
            return Some(value).filter(|value| matches!(value, ValueRef::Integer(_) | ValueRef::Real(_)));
        }
        let _charge = self.db.charge();
        // SAFETY: an argument of the call, valid during it (rule 15); c3ref/value_dup.html: a copy, or NULL. The affinity
        // is applied to the copy, so that slices of the argument stay (rule 9).
        let copy = unsafe { ffi::sqlite3_value_dup(self.raw_argument(index)?) };
        if copy.is_null() {
            self.fail_for_memory();
            return None;
        }
        // SAFETY: the copy is a protected value, owned here (rules 9, 22).
        let number = match unsafe { ffi::sqlite3_value_numeric_type(copy) } {
            ffi::SQLITE_INTEGER => {
                // SAFETY: the copy is not freed yet (rule 22); its type is INTEGER now (rule 9).
                Some(ValueRef::Integer(unsafe { ffi::sqlite3_value_int64(copy) }))
            }
            ffi::SQLITE_FLOAT => {
                // SAFETY: the copy is not freed yet (rule 22); its type is REAL now (rule 9).
                Some(ValueRef::Real(unsafe { ffi::sqlite3_value_double(copy) }))
            }
            _ => None,
        };
        // SAFETY: made by `sqlite3_value_dup` above, and freed once (rule 22, c3ref/value_dup.html).
        unsafe { ffi::sqlite3_value_free(copy) };
        number
    }

    /// Returns an argument, 0-based, as SQLite converts it to a REAL; 0 if there is none.
    pub(crate) fn as_double(&self, index: usize) -> f64 {
        // SAFETY: an argument of the call, valid during it (rule 15); c3ref/value_blob.html: converts a copy.
        self.raw_argument(index).map_or(0.0, |argument| unsafe { ffi::sqlite3_value_double(argument) })
    }

    /// Returns the subtype of an argument, 0-based; 0 if it has none.
    pub(crate) fn subtype(&self, index: usize) -> u32 {
        // SAFETY: an argument of the call, valid during it (rule 15); c3ref/value_subtype.html: reads a number.
        self.raw_argument(index).map_or(0, |argument| unsafe { ffi::sqlite3_value_subtype(argument) })
    }

    /// Whether an argument, 0-based, is an unchanged column in an UPDATE of a virtual table, or comes from a bound
    /// parameter: here the latter.
    pub(crate) fn is_from_bind(&self, index: usize) -> bool {
        // SAFETY: an argument of the call, valid during it (rule 15); c3ref/value_blob.html: reads a flag.
        self.raw_argument(index).is_some_and(|argument| unsafe { ffi::sqlite3_value_frombind(argument) != 0 })
    }

    /// Returns the value that an earlier call stored for an argument, 0-based.
    pub(crate) fn auxiliary(&self, index: usize) -> Option<&'call (dyn Any + Send)> {
        if index >= self.len() {
            return None;
        }
        let index = c_int::try_from(index).ok()?;
        // SAFETY: SQLite's context of this call (rule 15); c3ref/get_auxdata.html: NULL if there is none.
        let held = unsafe { ffi::sqlite3_get_auxdata(self.context.as_ptr(), index) };
        let held = NonNull::new(held.cast::<Held>())?;
        // SAFETY: stored by `set_auxiliary`, from `Held::new`, for this function: SQLite keeps the data of each call in
        // the SQL apart. If SQLite releases it during this call, it is dropped after the call (rule 15).
        Some(&*unsafe { held.as_ref() }.value)
    }

    /// Stores a value for an argument, 0-based, for later calls with the same constant argument. Returns it.
    ///
    /// # Panics
    ///
    /// If there is no such argument: the calls that end an aggregate have none, and SQLite keeps nothing for them.
    pub(crate) fn set_auxiliary(&self, index: usize, value: Box<dyn Any + Send>) -> &'call (dyn Any + Send) {
        assert!(index < self.len(), "auxiliary data is that of an argument");
        let held = Held::new(self.db, value);
        let index = c_int::try_from(index).unwrap_or(c_int::MAX);
        let charge = self.db.charge();
        // SAFETY: SQLite's context of this call, and a value that SQLite owns from now on (rules 15, 22);
        // c3ref/get_auxdata.html: SQLite may call the destructor at any time, also within this call.
        unsafe { ffi::sqlite3_set_auxdata(self.context.as_ptr(), index, held.as_ptr().cast(), Some(release_held)) };
        drop(charge);
        // SAFETY: created above, and not freed before the call has returned, also if SQLite has released it (rule 15).
        &*unsafe { held.as_ref() }.value
    }

    /// Sets the result of the call. Text and bytes are copied.
    #[inline(always)]
    pub(crate) fn answer(&self, result: RawParam<'_>) {
        let is_copied = matches!(result, RawParam::Text(_) | RawParam::Blob(_) | RawParam::ZeroBlob(_));
        let _charge = is_copied.then(|| self.db.charge());
        // SAFETY: SQLite's context of this call (rule 15), which copies text and bytes in the call.
        unsafe { value::answer(self.context.as_ptr(), result, ffi::SQLITE_TRANSIENT()) }
    }

    /// Makes an argument, 0-based, the result, with its subtype. Without such an argument the result is NULL.
    pub(crate) fn answer_argument(&self, index: usize) {
        if let Some(argument) = self.raw_argument(index) {
            let _charge = self.db.charge();
            // SAFETY: SQLite's context of this call, and an argument of it, a protected value, which SQLite copies
            // (rule 15, c3ref/result_blob.html).
            unsafe { ffi::sqlite3_result_value(self.context.as_ptr(), argument) }
        }
    }

    /// Sets the subtype of the result, of which SQLite keeps the lower 8 bits.
    pub(crate) fn set_subtype(&self, subtype: u8) {
        // SAFETY: SQLite's context of this call (rule 15, c3ref/result_subtype.html).
        unsafe { ffi::sqlite3_result_subtype(self.context.as_ptr(), u32::from(subtype)) }
    }

    /// Runs what is seldom needed out of line.
    #[inline(always)]
    pub(crate) fn aside<R>(&self, run: impl FnOnce(&Call<'call>) -> R) -> R {
        #[inline(never)]
        fn aside<'call, R>(
            context: NonNull<ffi::sqlite3_context>,
            count: c_int,
            arguments: *mut *mut ffi::sqlite3_value,
            db: &'call Db,
            run: impl FnOnce(&Call<'call>) -> R,
        ) -> R {
            run(&Call { context, count, arguments, db })
        }
        aside(self.context, self.count, self.arguments, self.db, run)
    }

    /// Makes the call an error.
    #[cold]
    pub(crate) fn fail(&self, fault: FunctionFault) {
        let text = fault.to_string();
        // SQLite's message ends at a NUL.
        let text: Box<str> = text.split('\0').next().unwrap_or_default().into();
        self.fail_with(&text);
        self.db.keep_failure(text, fault);
    }

    #[cold]
    fn fail_with(&self, text: &str) {
        let _charge = self.db.charge();
        let len = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
        // SAFETY: SQLite's context of this call; the text is at least `len` bytes, which SQLite copies in the call
        // (rules 15, 22, c3ref/result_blob.html).
        unsafe { ffi::sqlite3_result_error(self.context.as_ptr(), text.as_ptr().cast(), len) }
    }

    /// Makes the call `SQLITE_NOMEM`.
    #[inline(always)]
    pub(crate) fn fail_for_memory(&self) {
        // SAFETY: SQLite's context of this call (rule 15, c3ref/result_blob.html).
        unsafe { ffi::sqlite3_result_error_nomem(self.context.as_ptr()) }
    }

    /// Makes the call an error if its closure did not run to its end.
    #[inline(always)]
    pub(super) fn end<R>(&self, result: Option<R>) -> Option<R> {
        if result.is_none() {
            self.aside(|call| {
                let is_of_host = call.db.is_of_host();
                let or_closing = if is_of_host { "" } else { ", or its connection is being closed" };
                call.fail_with(&format!("a function panicked{or_closing}"));
            });
        }
        result
    }

    /// Makes the call an error if a collation of the extension has panicked, which only another call can tell.
    #[inline(always)]
    pub(super) fn is_refused(&self) -> bool {
        let reason = self.db.take_misorder();
        if let Some(reason) = reason {
            self.fail_with(reason);
        }
        reason.is_some()
    }

    /// Returns the place of the number of the aggregate's state; `None` if there is none, which also is if memory ran
    /// out.
    fn aggregate(&self, create: bool) -> Option<NonNull<u64>> {
        let bytes = if create { size_of::<u64>() } else { 0 };
        let charge = self.db.charge();
        // SAFETY: SQLite's context of a call of an aggregate function (rule 15); c3ref/aggregate_context.html: memory
        // of this size, filled with zeros the first time, or NULL.
        let place = unsafe { ffi::sqlite3_aggregate_context(self.context.as_ptr(), to_int(bytes)) };
        drop(charge);
        let place = NonNull::new(place.cast::<u64>());
        if place.is_none() && create {
            self.fail_for_memory();
        }
        place
    }
}

fn to_int(bytes: usize) -> c_int {
    c_int::try_from(bytes).unwrap_or(0)
}

/// Returns the entry of the function that SQLite calls.
///
/// # Safety
///
/// `context` is that of a call of a function that was registered with an `Entry<F>`, and `'call` ends with that call.
#[inline(always)]
unsafe fn entry<'call, F>(context: *mut ffi::sqlite3_context) -> &'call Entry<F> {
    // SAFETY: the context of a call (the caller's promise, rule 15); c3ref/user_data.html: returns the pointer with
    // which the function was registered.
    let address = unsafe { ffi::sqlite3_user_data(context) };
    // SAFETY: the caller promises the type, and SQLite calls a function only while it is registered (rule 14).
    unsafe { Entry::of(address) }
}

unsafe extern "C" fn scalar<F: Fn(&Call<'_>) + Send + 'static>(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite calls what `create_scalar` registered, with an `Entry<F>` (rules 14, 15).
    let entry = unsafe { entry::<F>(context) };
    // SAFETY: the arguments of this call, at whose end the value is gone (rule 15).
    let call = unsafe { Call::new(context, count, arguments, entry.db()) };
    if call.is_refused() {
        return;
    }
    call.end(entry.call_back(|function| function(&call)));
}

unsafe extern "C" fn step<A: RawAggregate>(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite calls this as `create_aggregate` registered it, for an `A` (rules 14, 15).
    unsafe { change::<A>(context, count, arguments, A::step) }
}

unsafe extern "C" fn inverse<A: RawAggregate>(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite calls this as `create_aggregate` registered it, for an `A` (rules 14, 15).
    unsafe { change::<A>(context, count, arguments, A::inverse) }
}

/// Runs a step, or its inverse, on the state.
///
/// # Safety
///
/// SQLite has called an aggregate function that was registered for an `A`.
unsafe fn change<A: RawAggregate>(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
    change: impl Fn(&A, &mut (dyn Any + Send), &Call<'_>) -> bool,
) {
    // SAFETY: a call of a function with an `Entry<A>` (the caller's promise, rules 14, 15).
    let entry = unsafe { entry::<A>(context) };
    let db = entry.db();
    // SAFETY: the arguments of this call, at whose end the value is gone (rule 15).
    let call = unsafe { Call::new(context, count, arguments, db) };
    if call.is_refused() {
        return;
    }
    let Some(place) = call.aggregate(true) else {
        return;
    };
    // SAFETY: SQLite's memory for this aggregate, of this size, zeroed by SQLite or written here (rule 15,
    // c3ref/aggregate_context.html: it lives until the aggregate is finished).
    let mut id = StateId(unsafe { place.read_unaligned() });
    if id == StateId::FAILED {
        return;
    }
    // The list does not have the state meanwhile, as the closure may run other SQL; nor has the closure, which would drop
    // it while a panic unwinds.
    let mut state = db.callbacks.states.borrow_mut().take(id);
    let done = entry.call_back(|function| {
        let state = state.get_or_insert_with(|| function.start());
        change(function, &mut **state, &call)
    });
    let is_fine = call.end(done) == Some(true);
    if is_fine && id == StateId::NONE {
        id = db.reserve_state();
    }
    let lost = match state {
        Some(state) if is_fine => db.callbacks.states.borrow_mut().put(id, state),
        state => {
            db.end_state(id);
            state
        }
    };
    if !is_fine || lost.is_some() {
        id = StateId::FAILED;
    }
    if let Some(lost) = lost {
        db.release(lost);
    }
    // SAFETY: the same memory: nothing since has finished the aggregate, as this call is of it (rule 15).
    unsafe { place.write_unaligned(id.0) }
}

unsafe extern "C" fn value_so_far<A: RawAggregate>(context: *mut ffi::sqlite3_context) {
    // SAFETY: SQLite calls this as `create_aggregate` registered it, for an `A` (rules 14, 15).
    let entry = unsafe { entry::<A>(context) };
    let db = entry.db();
    // SAFETY: a call without arguments, at whose end the value is gone (rule 15).
    let call = unsafe { Call::new(context, 0, ptr::null_mut(), db) };
    let id = number(&call);
    if id == StateId::FAILED {
        return;
    }
    let mut state = db.callbacks.states.borrow_mut().take(id);
    let is_known = state.is_some();
    let done = entry.call_back(|function| {
        let state = state.get_or_insert_with(|| function.start());
        function.value(&**state, &call);
    });
    let is_fine = call.end(done).is_some();
    let lost = match state {
        // Without a number, as no row came yet, the state ends with the call.
        Some(state) if is_fine && is_known => db.callbacks.states.borrow_mut().put(id, state),
        state => {
            db.end_state(id);
            state
        }
    };
    if let Some(lost) = lost {
        db.release(lost);
    }
}

unsafe extern "C" fn finish<A: RawAggregate>(context: *mut ffi::sqlite3_context) {
    // SAFETY: SQLite calls this as `create_aggregate` registered it, for an `A` (rules 14, 15).
    let entry = unsafe { entry::<A>(context) };
    let db = entry.db();
    // SAFETY: a call without arguments, at whose end the value is gone (rule 15).
    let call = unsafe { Call::new(context, 0, ptr::null_mut(), db) };
    let id = number(&call);
    if id == StateId::FAILED {
        return;
    }
    let state = db.end_state(id);
    if db.is_ending() || !db.is_open() {
        // Nobody reads the result.
        if let Some(state) = state {
            db.release(state);
        }
        return;
    }
    let done = entry.call_back(|function| {
        let state = state.unwrap_or_else(|| function.start());
        function.finish(state, &call);
    });
    call.end(done);
}

/// Returns the number of the aggregate's state.
fn number(call: &Call<'_>) -> StateId {
    match call.aggregate(false) {
        // SAFETY: SQLite's memory for this aggregate, of the size with which a step requested it, and written by the
        // step (rule 15, c3ref/aggregate_context.html).
        Some(place) => StateId(unsafe { place.read_unaligned() }),
        None => StateId::NONE,
    }
}
