//! FTS5's interface to the program: `fts5_api` and `Fts5ExtensionApi` (sqlite.org/fts5.html, "Extending FTS5").
//!
//! The structs are declared here, because the oldest bindings lack the members that SQLite has added since. A member is
//! read where the struct's version says that there is one.

pub(crate) mod function;
pub(crate) mod tokenizer;

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ops::Range;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::slice;

use super::callback::{Destroy, KEPT_FAILURE};
use super::db::code_fault;
use super::{Db, ffi};
use crate::error::{Fault, FaultKind};

/// Reports a token: a context, flags, the text of the token and its length, the range of its origin.
type TakeToken = unsafe extern "C" fn(*mut c_void, c_int, *const c_char, c_int, c_int, c_int) -> c_int;

/// Creates a tokenizer: the pointer of its module, the number of its arguments after the arguments, the place for it.
type CreateTokenizer = unsafe extern "C" fn(*mut c_void, *const *const c_char, c_int, *mut *mut c_void) -> c_int;

type DeleteTokenizer = unsafe extern "C" fn(*mut c_void);

type Tokenize = unsafe extern "C" fn(*mut c_void, *mut c_void, c_int, *const c_char, c_int, Option<TakeToken>) -> c_int;

type TokenizeWithLocale = unsafe extern "C" fn(
    *mut c_void,
    *mut c_void,
    c_int,
    *const c_char,
    c_int,
    *const c_char,
    c_int,
    Option<TakeToken>,
) -> c_int;

/// `fts5_tokenizer`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Module {
    create: Option<CreateTokenizer>,
    delete: Option<DeleteTokenizer>,
    tokenize: Option<Tokenize>,
}

/// `fts5_tokenizer_v2`.
#[repr(C)]
#[derive(Clone, Copy)]
struct ModuleWithLocale {
    version: c_int,
    create: Option<CreateTokenizer>,
    delete: Option<DeleteTokenizer>,
    tokenize: Option<TokenizeWithLocale>,
}

/// `fts5_api`, one for each connection.
#[repr(C)]
struct Api {
    version: c_int,
    create_tokenizer: Option<unsafe extern "C" fn(*mut Api, *const c_char, *mut c_void, *mut Module, Destroy) -> c_int>,
    find_tokenizer: Option<unsafe extern "C" fn(*mut Api, *const c_char, *mut *mut c_void, *mut Module) -> c_int>,
    create_function:
        Option<unsafe extern "C" fn(*mut Api, *const c_char, *mut c_void, Option<function::Called>, Destroy) -> c_int>,
    /// From version 3 on.
    create_tokenizer_v2:
        Option<unsafe extern "C" fn(*mut Api, *const c_char, *mut c_void, *mut ModuleWithLocale, Destroy) -> c_int>,
    find_tokenizer_v2:
        Option<unsafe extern "C" fn(*mut Api, *const c_char, *mut *mut c_void, *mut *mut ModuleWithLocale) -> c_int>,
}

/// First version of `fts5_api` whose tokenizers get a locale (SQLite 3.47).
const WITH_LOCALE: c_int = 3;

/// FTS5 of a connection, for as long as what is registered with it may be called.
#[derive(Clone, Copy)]
struct Fts5(NonNull<Api>);

// SAFETY: the struct is the connection's, which moves between threads as a whole (rule 12).
unsafe impl Send for Fts5 {}

/// Reads a member of a struct that C owns.
macro_rules! member {
    ($pointer:expr, $name:ident) => {{
        let pointer = $pointer;
        // SAFETY: the struct is FTS5's, valid while it may call what was registered with it, and has the member: its
        // version is that of the oldest SQLite that finalite uses, or was compared by the caller (rule 27).
        unsafe { (&raw const (*pointer).$name).read() }
    }};
}
use member;

impl Fts5 {
    fn version(self) -> c_int {
        member!(self.0.as_ptr(), version)
    }
}

impl Db {
    /// Returns FTS5's interface, which SQL gives out: `SELECT fts5(?1)` with a pointer to a place for its address.
    fn fts5(&self, site: &'static Location<'static>) -> Result<Fts5, Fault> {
        let place = Cell::new(ptr::null_mut());
        let (statement, _) = match self.prepare("SELECT fts5(?1)", false, site) {
            Err(fault) if is_without_fts5(&fault) => return Err(without_fts5()),
            prepared => prepared?,
        };
        if let Some(mut statement) = statement {
            let mut binding = statement.begin()?;
            binding.bind_fts5_place(1, &place)?;
            let mut cursor = binding.run();
            cursor.step()?;
            cursor.finish()?;
        }
        // If `fts5` is a function of somebody else, it did not receive the pointer.
        NonNull::new(place.get().cast::<Api>()).map(Fts5).ok_or_else(without_fts5)
    }

    /// Returns the error of a call of FTS5 within a callback.
    #[cold]
    fn fault_within(&self, code: c_int) -> Fault {
        match self.take_kept_failure(code) {
            Some(fault) => Fault::new(FaultKind::Function { code: ffi::SQLITE_ERROR, offset: None, fault }),
            None if code == KEPT_FAILURE => code_fault(ffi::SQLITE_ERROR),
            None => code_fault(code),
        }
    }

    fn check_within(&self, code: c_int) -> Result<(), Fault> {
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.fault_within(code)) }
    }
}

fn is_without_fts5(fault: &Fault) -> bool {
    matches!(fault.kind(), FaultKind::Sqlite { message, .. } if message.starts_with("no such function"))
}

#[cold]
fn without_fts5() -> Fault {
    Fault::new(FaultKind::Unsupported("FTS5: SQLite was compiled without it, or its function fts5 was replaced".into()))
}

#[cold]
fn misuse(reason: &'static str) -> Fault {
    Fault::new(FaultKind::Misuse(reason))
}

/// Returns bytes that C passes.
///
/// # Safety
///
/// `bytes` is NULL, or `len` bytes can be read from it while `'a` lasts.
unsafe fn bytes<'a>(bytes: *const c_char, len: c_int) -> &'a [u8] {
    match usize::try_from(len) {
        // SAFETY: the caller promises so many bytes (rule 22).
        Ok(len) if !bytes.is_null() => unsafe { slice::from_raw_parts(bytes.cast(), len) },
        _ => &[],
    }
}

/// Tokens that a tokenizer of C has reported, one after the other in `text`.
#[derive(Debug, Default)]
pub(crate) struct TokenList {
    text: Vec<u8>,
    tokens: Vec<Span>,
}

#[derive(Debug)]
struct Span {
    /// End of its text in the list's.
    end: usize,
    range: Range<usize>,
    is_colocated: bool,
}

/// A token of a [`TokenList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedToken<'list> {
    pub(crate) text: &'list [u8],
    pub(crate) range: Range<usize>,
    pub(crate) is_colocated: bool,
}

impl TokenList {
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<ListedToken<'_>> {
        let Span { end, range, is_colocated } = self.tokens.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.tokens[before].end);
        Some(ListedToken { text: &self.text[start..*end], range: range.clone(), is_colocated: *is_colocated })
    }
}

/// Adds a token to the list that a call passes as its context. No code of the program runs while C makes tokens: it could
/// have the same tokenizer run again, which has one buffer.
unsafe extern "C" fn list_token(
    list: *mut c_void,
    flags: c_int,
    text: *const c_char,
    len: c_int,
    start: c_int,
    end: c_int,
) -> c_int {
    // SAFETY: the callers pass a `TokenList`, which lives during their call and to which they have no other reference
    // (rule 27).
    let list = unsafe { &mut *list.cast::<TokenList>() };
    // SAFETY: a tokenizer passes the text of a token with its length, for the call (rules 22, 27).
    list.text.extend_from_slice(unsafe { bytes(text, len) });
    let [start, end] = [start, end].map(|offset| usize::try_from(offset).unwrap_or(0));
    list.tokens.push(Span { end: list.text.len(), range: start..end, is_colocated: flags & COLOCATED != 0 });
    ffi::SQLITE_OK
}

/// Flag of a token at the position of the one before: `FTS5_TOKEN_COLOCATED`.
const COLOCATED: c_int = 1;

/// The bindings of the bundled SQLite have all members.
#[cfg(all(test, feature = "bundled"))]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::function::ExtensionApi;
    use super::*;

    #[test]
    fn rule_27_structs_have_the_layout_of_c() {
        assert_eq!(size_of::<Module>(), size_of::<ffi::fts5_tokenizer>());
        assert_eq!(size_of::<ModuleWithLocale>(), size_of::<ffi::fts5_tokenizer_v2>());
        assert_eq!(offset_of!(ModuleWithLocale, tokenize), offset_of!(ffi::fts5_tokenizer_v2, xTokenize));
        assert_eq!(size_of::<Api>(), size_of::<ffi::fts5_api>());
        assert_eq!(offset_of!(Api, create_function), offset_of!(ffi::fts5_api, xCreateFunction));
        assert_eq!(offset_of!(Api, find_tokenizer_v2), offset_of!(ffi::fts5_api, xFindTokenizer_v2));
        assert_eq!(size_of::<ExtensionApi>(), size_of::<ffi::Fts5ExtensionApi>());
        assert_eq!(
            function::OFFSETS,
            [
                offset_of!(ffi::Fts5ExtensionApi, xUserData),
                offset_of!(ffi::Fts5ExtensionApi, xColumnTotalSize),
                offset_of!(ffi::Fts5ExtensionApi, xInst),
                offset_of!(ffi::Fts5ExtensionApi, xColumnText),
                offset_of!(ffi::Fts5ExtensionApi, xQueryPhrase),
                offset_of!(ffi::Fts5ExtensionApi, xGetAuxdata),
                offset_of!(ffi::Fts5ExtensionApi, xPhraseNextColumn),
                offset_of!(ffi::Fts5ExtensionApi, xInstToken),
                offset_of!(ffi::Fts5ExtensionApi, xTokenize_v2),
            ]
        );
    }
}
