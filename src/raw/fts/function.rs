//! Auxiliary functions of FTS5: registration, the trampoline, and what a function may ask.
//!
//! FTS5 checks some indexes by assertions alone, which are compiled out, and reads the phrases of a query where there is
//! none: each index is checked here.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::Location;
use std::ptr::{self, NonNull};

use super::{TakeToken, TokenList, bytes, list_token, member, misuse};
use crate::error::{Fault, FaultKind};
use crate::raw::callback::{Entry, Held, KEPT_FAILURE, Key, release_held};
use crate::raw::function::Call;
use crate::raw::{Db, ffi};

/// A function that FTS5 calls: its interface, its cursor, SQLite's context, the arguments after the table.
pub(super) type Called = unsafe extern "C" fn(
    *const ExtensionApi,
    *mut c_void,
    *mut ffi::sqlite3_context,
    c_int,
    *mut *mut ffi::sqlite3_value,
);

/// A function that FTS5 calls for a row of a phrase.
type VisitRow = unsafe extern "C" fn(*const ExtensionApi, *mut c_void, *mut c_void) -> c_int;

type GetNumber = Option<unsafe extern "C" fn(*mut c_void, *mut i64) -> c_int>;
type GetOfColumn<T> = Option<unsafe extern "C" fn(*mut c_void, c_int, *mut T) -> c_int>;
type GetText = Option<unsafe extern "C" fn(*mut c_void, c_int, *mut *const c_char, *mut c_int) -> c_int>;
type GetToken = Option<unsafe extern "C" fn(*mut c_void, c_int, c_int, *mut *const c_char, *mut c_int) -> c_int>;
type FirstPosition =
    Option<unsafe extern "C" fn(*mut c_void, c_int, *mut PhraseIterator, *mut c_int, *mut c_int) -> c_int>;

/// `Fts5ExtensionApi`.
#[repr(C)]
pub(super) struct ExtensionApi {
    version: c_int,
    user_data: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>,
    column_count: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    row_count: GetNumber,
    column_total_size: GetOfColumn<i64>,
    tokenize: Option<unsafe extern "C" fn(*mut c_void, *const c_char, c_int, *mut c_void, Option<TakeToken>) -> c_int>,
    phrase_count: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    phrase_size: Option<unsafe extern "C" fn(*mut c_void, c_int) -> c_int>,
    instance_count: Option<unsafe extern "C" fn(*mut c_void, *mut c_int) -> c_int>,
    instance: Option<unsafe extern "C" fn(*mut c_void, c_int, *mut c_int, *mut c_int, *mut c_int) -> c_int>,
    rowid: Option<unsafe extern "C" fn(*mut c_void) -> i64>,
    column_text: GetText,
    column_size: GetOfColumn<c_int>,
    query_phrase: Option<unsafe extern "C" fn(*mut c_void, c_int, *mut c_void, Option<VisitRow>) -> c_int>,
    set_auxiliary:
        Option<unsafe extern "C" fn(*mut c_void, *mut c_void, Option<unsafe extern "C" fn(*mut c_void)>) -> c_int>,
    get_auxiliary: Option<unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void>,
    phrase_first: FirstPosition,
    phrase_next: Option<unsafe extern "C" fn(*mut c_void, *mut PhraseIterator, *mut c_int, *mut c_int)>,
    phrase_first_column: GetFirstColumn,
    phrase_next_column: Option<unsafe extern "C" fn(*mut c_void, *mut PhraseIterator, *mut c_int)>,
    /// From version 3 on (SQLite 3.45).
    query_token: GetToken,
    instance_token: GetToken,
    /// From version 4 on (SQLite 3.47).
    column_locale: GetText,
    tokenize_v2: Option<
        unsafe extern "C" fn(
            *mut c_void,
            *const c_char,
            c_int,
            *const c_char,
            c_int,
            *mut c_void,
            Option<TakeToken>,
        ) -> c_int,
    >,
}

type GetFirstColumn = Option<unsafe extern "C" fn(*mut c_void, c_int, *mut PhraseIterator, *mut c_int) -> c_int>;

/// `Fts5PhraseIter`.
#[repr(C)]
struct PhraseIterator {
    at: *const u8,
    end: *const u8,
}

/// First version of the struct with tokens of queries and instances, and with locales.
const WITH_TOKENS: c_int = 3;
const WITH_LOCALE: c_int = 4;

/// A place where a phrase matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawInstance {
    pub(crate) phrase: usize,
    pub(crate) column: usize,
    pub(crate) offset: usize,
}

impl Db {
    /// Registers an auxiliary function, which returns whether its call has no kept error. Those of the same name that
    /// statements use stay.
    pub(crate) fn create_fts_function<F: Fn(&FtsCall<'_>, &Call<'_>) -> bool + Send + 'static>(
        &self,
        name: &CStr,
        site: &'static Location<'static>,
        function: F,
    ) -> Result<(), Fault> {
        drop(self.enter_to_register()?);
        let fts5 = self.fts5(site)?;
        let entered = self.enter_to_register()?;
        let key = Key::FtsFunction(name.to_string_lossy().to_ascii_lowercase().into());
        let api = fts5.0.as_ptr();
        self.register(&entered, key, site, function, |entry, destroy| {
            let Some(register) = member!(api, create_function) else {
                return ffi::SQLITE_ERROR;
            };
            // SAFETY: FTS5's struct and its own function; the name is NUL-terminated (rule 22). `entry` is an `Entry<F>`,
            // which the connection's list keeps until the connection is closed; that of a host is FTS5's, with its destructor
            // (rules 14, 27, 28).
            unsafe { register(api, name.as_ptr(), entry, Some(called::<F>), destroy) }
        })?;
        Ok(())
    }
}

/// A row that matches a query.
pub(crate) struct FtsCall<'call> {
    api: NonNull<ExtensionApi>,
    fts: NonNull<c_void>,
    db: &'call Db,
}

/// Calls a member of the interface with the cursor.
macro_rules! ask {
    ($self:expr, $name:ident($($argument:expr),*)) => {{
        let Some(function) = member!($self.api.as_ptr(), $name) else {
            return Err(misuse("FTS5 lacks a function of its interface"));
        };
        let charge = $self.db.charge();
        // SAFETY: FTS5's function and the cursor of the call that runs; indexes were checked against the table and the
        // query by the caller; out pointers are those of locals (rule 27).
        let result = unsafe { function($self.fts.as_ptr() $(, $argument)*) };
        drop(charge);
        result
    }};
}

impl<'call> FtsCall<'call> {
    pub(crate) fn db(&self) -> &'call Db {
        self.db
    }

    fn is_at_least(&self, version: c_int, feature: &'static str) -> Result<(), Fault> {
        if member!(self.api.as_ptr(), version) >= version {
            return Ok(());
        }
        Err(Fault::new(FaultKind::Unsupported(feature.into())))
    }

    pub(crate) fn column_count(&self) -> Result<usize, Fault> {
        Ok(to_usize(ask!(self, column_count())))
    }

    fn column(&self, column: usize) -> Result<c_int, Fault> {
        if column >= self.column_count()? {
            return Err(misuse("the FTS5 table has no column of this index"));
        }
        to_index(column)
    }

    /// Returns the column, or -1 for all.
    fn column_or_all(&self, column: Option<usize>) -> Result<c_int, Fault> {
        column.map_or(Ok(-1), |column| self.column(column))
    }

    pub(crate) fn row_count(&self) -> Result<i64, Fault> {
        let mut rows = 0;
        let code = ask!(self, row_count(&raw mut rows));
        self.db.check_within(code)?;
        Ok(rows)
    }

    pub(crate) fn column_total_size(&self, column: Option<usize>) -> Result<i64, Fault> {
        let (column, mut tokens) = (self.column_or_all(column)?, 0);
        let code = ask!(self, column_total_size(column, &raw mut tokens));
        self.db.check_within(code)?;
        Ok(tokens)
    }

    pub(crate) fn column_size(&self, column: Option<usize>) -> Result<i32, Fault> {
        let (column, mut tokens) = (self.column_or_all(column)?, 0);
        let code = ask!(self, column_size(column, &raw mut tokens));
        self.db.check_within(code)?;
        Ok(tokens)
    }

    /// Returns the text of a column; `None` for NULL, and for a table without contents. It stays for the call: the cursor's
    /// statement, which may be another one than that which calls, is not stepped meanwhile, and its cells are read as texts
    /// alone.
    pub(crate) fn column_text(&self, column: usize) -> Result<Option<&[u8]>, Fault> {
        let (column, mut text, mut len) = (self.column(column)?, ptr::null(), 0);
        let code = ask!(self, column_text(column, &raw mut text, &raw mut len));
        self.db.check_within(code)?;
        if text.is_null() && len > 0 {
            return Err(Fault::no_memory());
        }
        // SAFETY: the text of a cell of the current row, and its length (rules 9, 21, 27).
        Ok((!text.is_null()).then(|| unsafe { bytes(text, len) }))
    }

    /// Returns the locale of a column's text.
    pub(crate) fn column_locale(&self, column: usize) -> Result<Option<Box<[u8]>>, Fault> {
        self.is_at_least(WITH_LOCALE, "locales of FTS5: they need SQLite 3.47")?;
        let (column, mut text, mut len) = (self.column(column)?, ptr::null(), 0);
        let code = ask!(self, column_locale(column, &raw mut text, &raw mut len));
        self.db.check_within(code)?;
        // SAFETY: the locale of a cell of the current row, and its length; it is copied (rules 22, 27).
        Ok((!text.is_null()).then(|| unsafe { bytes(text, len) }.into()))
    }

    pub(crate) fn rowid(&self) -> Result<i64, Fault> {
        Ok(ask!(self, rowid()))
    }

    pub(crate) fn phrase_count(&self) -> Result<usize, Fault> {
        Ok(to_usize(ask!(self, phrase_count())))
    }

    fn phrase(&self, phrase: usize) -> Result<c_int, Fault> {
        if phrase >= self.phrase_count()? {
            return Err(misuse("the query has no phrase of this index"));
        }
        to_index(phrase)
    }

    pub(crate) fn phrase_size(&self, phrase: usize) -> Result<usize, Fault> {
        let phrase = self.phrase(phrase)?;
        Ok(to_usize(ask!(self, phrase_size(phrase))))
    }

    pub(crate) fn instance_count(&self) -> Result<usize, Fault> {
        let mut count = 0;
        let code = ask!(self, instance_count(&raw mut count));
        self.db.check_within(code)?;
        Ok(to_usize(count))
    }

    pub(crate) fn instance(&self, instance: usize) -> Result<RawInstance, Fault> {
        let instance = self.instance_index(instance)?;
        let (mut phrase, mut column, mut offset) = (0, 0, 0);
        let code = ask!(self, instance(instance, &raw mut phrase, &raw mut column, &raw mut offset));
        self.db.check_within(code)?;
        Ok(RawInstance { phrase: to_usize(phrase), column: to_usize(column), offset: to_usize(offset) })
    }

    fn instance_index(&self, instance: usize) -> Result<c_int, Fault> {
        if instance >= self.instance_count()? {
            return Err(misuse("the row has no instance of this index"));
        }
        to_index(instance)
    }

    /// Returns the columns and offsets at which a phrase matches in the row. They are read at once: the iterator points
    /// into lists of the cursor, which other calls may build anew.
    pub(crate) fn phrase_positions(&self, phrase: usize) -> Result<Vec<(usize, usize)>, Fault> {
        let phrase = self.phrase(phrase)?;
        let mut iterator = PhraseIterator { at: ptr::null(), end: ptr::null() };
        let (mut column, mut offset) = (-1, -1);
        let code = ask!(self, phrase_first(phrase, &raw mut iterator, &raw mut column, &raw mut offset));
        self.db.check_within(code)?;
        let mut positions = Vec::new();
        while column >= 0 {
            positions.push((to_usize(column), to_usize(offset)));
            ask!(self, phrase_next(&raw mut iterator, &raw mut column, &raw mut offset));
        }
        Ok(positions)
    }

    /// Returns the columns in which a phrase matches in the row.
    pub(crate) fn phrase_columns(&self, phrase: usize) -> Result<Vec<usize>, Fault> {
        let phrase = self.phrase(phrase)?;
        let mut iterator = PhraseIterator { at: ptr::null(), end: ptr::null() };
        let mut column = -1;
        let code = ask!(self, phrase_first_column(phrase, &raw mut iterator, &raw mut column));
        self.db.check_within(code)?;
        let mut columns = Vec::new();
        while column >= 0 {
            columns.push(to_usize(column));
            ask!(self, phrase_next_column(&raw mut iterator, &raw mut column));
        }
        Ok(columns)
    }

    /// Returns a token of a phrase of the query.
    pub(crate) fn phrase_token(&self, phrase: usize, token: usize) -> Result<Box<[u8]>, Fault> {
        self.is_at_least(WITH_TOKENS, "tokens of FTS5 queries: they need SQLite 3.45")?;
        let token = self.token(phrase, token)?;
        let (phrase, mut text, mut len) = (self.phrase(phrase)?, ptr::null(), 0);
        let code = ask!(self, query_token(phrase, token, &raw mut text, &raw mut len));
        self.db.check_within(code)?;
        // SAFETY: a token of the query and its length; it is copied (rules 22, 27).
        Ok(unsafe { bytes(text, len) }.into())
    }

    /// Returns the token of the row's text that is a token of an instance.
    pub(crate) fn instance_token(&self, instance: usize, token: usize) -> Result<Box<[u8]>, Fault> {
        self.is_at_least(WITH_TOKENS, "tokens of FTS5 instances: they need SQLite 3.45")?;
        let token = self.token(self.instance(instance)?.phrase, token)?;
        let (instance, mut text, mut len) = (self.instance_index(instance)?, ptr::null(), 0);
        let code = ask!(self, instance_token(instance, token, &raw mut text, &raw mut len));
        self.db.check_within(code)?;
        // SAFETY: a token of the index and its length; it is copied (rules 22, 27).
        Ok(unsafe { bytes(text, len) }.into())
    }

    fn token(&self, phrase: usize, token: usize) -> Result<c_int, Fault> {
        if token >= self.phrase_size(phrase)? {
            return Err(misuse("the phrase has no token of this index"));
        }
        to_index(token)
    }

    /// Returns the tokens that the table's tokenizer makes of a text.
    pub(crate) fn tokenize(&self, text: &str, locale: Option<&str>) -> Result<TokenList, Fault> {
        let too_big = |text: &str| Fault::new(FaultKind::TooBig { what: "text", bytes: text.len() });
        let len = c_int::try_from(text.len()).map_err(|_| too_big(text))?;
        let mut list = TokenList::default();
        let context: *mut c_void = (&raw mut list).cast();
        let start = text.as_ptr().cast();
        let code = match locale {
            Some(locale) => {
                self.is_at_least(WITH_LOCALE, "locales of FTS5: they need SQLite 3.47")?;
                let locale_len = c_int::try_from(locale.len()).map_err(|_| too_big(locale))?;
                let locale = locale.as_ptr().cast();
                ask!(self, tokenize_v2(start, len, locale, locale_len, context, Some(list_token)))
            }
            None => ask!(self, tokenize(start, len, context, Some(list_token))),
        };
        self.db.check_within(code)?;
        Ok(list)
    }

    /// Passes each row of the table that matches a phrase of the query. The closure returns whether to go on.
    pub(crate) fn query_phrase(&self, phrase: usize, mut see: impl FnMut(&FtsCall<'_>) -> bool) -> Result<(), Fault> {
        let phrase = self.phrase(phrase)?;
        let mut visit = Visit { db: self.db, see: &mut see };
        let context: *mut c_void = (&raw mut visit).cast();
        let code = ask!(self, query_phrase(phrase, context, Some(visit_row)));
        self.db.check_within(code)
    }

    /// Returns the value that an earlier call for this query stored.
    pub(crate) fn auxiliary(&self) -> Result<Option<&'call (dyn Any + Send)>, Fault> {
        let held = ask!(self, get_auxiliary(0));
        let held = NonNull::new(held.cast::<Held>());
        // SAFETY: stored by `set_auxiliary`, from `Held::new`: FTS5 keeps the data of each function apart. If it is
        // released during this call, it is dropped after the call (rules 15, 27).
        Ok(held.map(|held| &*unsafe { held.as_ref() }.value))
    }

    /// Stores a value for later calls for this query. Returns it.
    pub(crate) fn set_auxiliary(&self, value: Box<dyn Any + Send>) -> Result<&'call (dyn Any + Send), Fault> {
        let held = Held::new(self.db, value);
        // FTS5 owns it from now on, and calls the destructor on failure too.
        let code = ask!(self, set_auxiliary(held.as_ptr().cast(), Some(release_held)));
        self.db.check_within(code)?;
        // SAFETY: created above, and not freed before the call has returned, also if it has been released (rules 15, 27).
        Ok(&*unsafe { held.as_ref() }.value)
    }
}

/// Context of `visit_row`.
struct Visit<'call> {
    db: &'call Db,
    see: &'call mut dyn FnMut(&FtsCall<'_>) -> bool,
}

unsafe extern "C" fn visit_row(api: *const ExtensionApi, fts: *mut c_void, visit: *mut c_void) -> c_int {
    // SAFETY: the context that `query_phrase` passes, which lives during its call and to which it has no other reference
    // meanwhile (rule 27).
    let visit = unsafe { &mut *visit.cast::<Visit<'_>>() };
    let (Some(api), Some(fts)) = (NonNull::new(api.cast_mut()), NonNull::new(fts)) else {
        return ffi::SQLITE_ERROR;
    };
    let row = FtsCall { api, fts, db: visit.db };
    match visit.db.call_back(|| (visit.see)(&row)) {
        Some(true) => ffi::SQLITE_OK,
        Some(false) => ffi::SQLITE_DONE,
        None => ffi::SQLITE_ERROR,
    }
}

unsafe extern "C" fn called<F: Fn(&FtsCall<'_>, &Call<'_>) -> bool + Send + 'static>(
    api: *const ExtensionApi,
    fts: *mut c_void,
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    let (Some(api), Some(fts)) = (NonNull::new(api.cast_mut()), NonNull::new(fts)) else {
        return;
    };
    let Some(user_data) = member!(api.as_ptr(), user_data) else {
        return;
    };
    // SAFETY: FTS5's function and the cursor of the call, of this statement or of another (rule 27): returns the pointer of
    // the function that it calls.
    let entry = unsafe { user_data(fts.as_ptr()) };
    // SAFETY: FTS5 calls what `create_fts_function` registered, with an `Entry<F>` (rules 14, 27).
    let entry = unsafe { Entry::<F>::of(entry) };
    let db = entry.db();
    // SAFETY: the context and the arguments of this call, at whose end the value is gone (rule 15).
    let call = unsafe { Call::new(context, count, arguments, db) };
    let is_failed = call.end(entry.call_back(|function| !function(&FtsCall { api, fts, db }, &call)));
    // `ORDER BY rank` runs the function in a statement of FTS5's own, of which it passes on the code alone.
    // A host knows no such code.
    if is_failed == Some(true) && !db.is_of_host() {
        // SAFETY: SQLite's context of this call, whose text stays (rule 15, c3ref/result_blob.html).
        unsafe { ffi::sqlite3_result_error_code(context, KEPT_FAILURE) }
    }
}

fn to_index(index: usize) -> Result<c_int, Fault> {
    c_int::try_from(index).map_err(|_| misuse("the index is too large"))
}

fn to_usize(number: c_int) -> usize {
    usize::try_from(number).unwrap_or(0)
}

#[cfg(all(test, feature = "bundled"))]
pub(super) const OFFSETS: [usize; 9] = {
    use std::mem::offset_of;
    [
        offset_of!(ExtensionApi, user_data),
        offset_of!(ExtensionApi, column_total_size),
        offset_of!(ExtensionApi, instance),
        offset_of!(ExtensionApi, column_text),
        offset_of!(ExtensionApi, query_phrase),
        offset_of!(ExtensionApi, get_auxiliary),
        offset_of!(ExtensionApi, phrase_next_column),
        offset_of!(ExtensionApi, instance_token),
        offset_of!(ExtensionApi, tokenize_v2),
    ]
};
