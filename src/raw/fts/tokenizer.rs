//! Tokenizers of FTS5: registration, and the trampolines of their methods.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ops::Range;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::{slice, str};

use super::{
    COLOCATED, CreateTokenizer, DeleteTokenizer, Fts5, Module, ModuleWithLocale, TakeToken, TokenList, Tokenize,
    TokenizeWithLocale, WITH_LOCALE, bytes, list_token, member, misuse,
};
use crate::error::{Fault, FaultKind};
use crate::raw::callback::{CallbackFailure, Entry, Key};
use crate::raw::db::code_fault;
use crate::raw::{Db, ffi};

/// A tokenizer of one table.
pub(crate) trait RawTokenizer: Send + 'static {
    /// Reports the tokens of a text.
    fn tokenize(&mut self, request: Request<'_>, tokens: &mut Tokens<'_>) -> Result<(), CallbackFailure>;
}

/// A text to take apart, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'call> {
    pub(crate) text: &'call [u8],
    /// `None` where there is none, and where FTS5 knows none.
    pub(crate) locale: Option<&'call [u8]>,
    pub(crate) flags: Flags,
}

/// Reason of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags(c_int);

impl Flags {
    pub(crate) fn is_query(self) -> bool {
        self.0 & 1 != 0
    }

    pub(crate) fn is_prefix(self) -> bool {
        self.0 & 2 != 0
    }

    pub(crate) fn is_document(self) -> bool {
        self.0 & 4 != 0
    }
}

/// A closure that creates tokenizers. Its running calls are counted, as it could create itself for ever.
struct Factory<F> {
    create: F,
    fts5: Fts5,
    depth: Cell<u32>,
}

/// Largest number of creations within each other.
const DEPTH_MAX: u32 = 16;

/// A tokenizer of a table. FTS5 has its address.
struct Instance<T> {
    /// Not moved, and freed after FTS5 has deleted its tokenizers.
    db: NonNull<Db>,
    /// `None` while it is running.
    tokenizer: Cell<Option<Box<T>>>,
    wrapped: Vec<Wrapped>,
}

/// A tokenizer of FTS5, used by one of the program's. It is deleted while FTS5 deletes that: the code of one that was
/// loaded is gone when the connection is closed.
struct Wrapped {
    tokenizer: *mut c_void,
    delete: Option<DeleteTokenizer>,
    tokenize: Method,
    is_running: Cell<bool>,
}

enum Method {
    Plain(Tokenize),
    WithLocale(TokenizeWithLocale),
}

impl Drop for Wrapped {
    fn drop(&mut self) {
        if let Some(delete) = self.delete {
            // SAFETY: created by the module whose function this is, and deleted once (rules 22, 27).
            unsafe { delete(self.tokenizer) }
        }
    }
}

impl Db {
    /// Registers a tokenizer. Those of the same name that tables use stay.
    pub(crate) fn create_tokenizer<T: RawTokenizer>(
        &self,
        name: &CStr,
        site: &'static Location<'static>,
        create: impl Fn(&mut Setup<'_>) -> Result<T, CallbackFailure> + Send + 'static,
    ) -> Result<(), Fault> {
        self.register_tokenizer(name, site, create, WITH_LOCALE)
    }

    /// Registers a tokenizer by the interface that gives a locale, if FTS5 has at least this version.
    pub(crate) fn register_tokenizer<T: RawTokenizer, F>(
        &self,
        name: &CStr,
        site: &'static Location<'static>,
        create: F,
        with_locale: c_int,
    ) -> Result<(), Fault>
    where
        F: Fn(&mut Setup<'_>) -> Result<T, CallbackFailure> + Send + 'static,
    {
        drop(self.enter_to_register()?);
        let fts5 = self.fts5(site)?;
        let entered = self.enter_to_register()?;
        let key = Key::Tokenizer(name.to_string_lossy().to_ascii_lowercase().into());
        let factory = Factory { create, fts5, depth: Cell::new(0) };
        let api = fts5.0.as_ptr();
        self.register(&entered, key, site, factory, |entry, destroy| {
            if fts5.version() >= with_locale {
                let mut module = ModuleWithLocale {
                    version: 2,
                    create: Some(self::create::<T, F>),
                    delete: Some(delete::<T>),
                    tokenize: Some(tokenize_with_locale::<T>),
                };
                let Some(register) = member!(api, create_tokenizer_v2) else {
                    return ffi::SQLITE_ERROR;
                };
                // SAFETY: FTS5's struct and its own function; the name is NUL-terminated (rule 22); FTS5 copies the
                // module. `entry` is an `Entry<Factory<F>>`, which the connection's list keeps until the connection is
                // closed; that of a host is FTS5's, with its destructor (rules 14, 27, 28).
                unsafe { register(api, name.as_ptr(), entry, &raw mut module, destroy) }
            } else {
                let mut module = Module {
                    create: Some(self::create::<T, F>),
                    delete: Some(delete::<T>),
                    tokenize: Some(tokenize::<T>),
                };
                let Some(register) = member!(api, create_tokenizer) else {
                    return ffi::SQLITE_ERROR;
                };
                // SAFETY: as above, with the older struct, which FTS5 copies too (rules 14, 22, 27).
                unsafe { register(api, name.as_ptr(), entry, &raw mut module, destroy) }
            }
        })?;
        Ok(())
    }
}

/// The creation of a tokenizer for a table.
pub(crate) struct Setup<'call> {
    fts5: Fts5,
    db: &'call Db,
    arguments: Box<[&'call [u8]]>,
    depth: &'call Cell<u32>,
    wrapped: Vec<Wrapped>,
}

impl<'call> Setup<'call> {
    /// Returns the words after the tokenizer's name.
    pub(crate) fn arguments(&self) -> &[&'call [u8]] {
        &self.arguments
    }

    /// Creates another tokenizer, for use by the new one. Returns its number there, `None` if there is none of this name.
    pub(crate) fn wrap(&mut self, name: &CStr, arguments: &[&CStr]) -> Result<Option<usize>, Fault> {
        if self.depth.get() > DEPTH_MAX {
            return Err(misuse("the tokenizer wraps itself"));
        }
        let Some((create, context, delete, tokenize)) = self.find(name) else {
            return Ok(None);
        };
        let pointers: Vec<*const c_char> = arguments.iter().map(|argument| argument.as_ptr()).collect();
        let mut tokenizer = ptr::null_mut();
        let charge = self.db.charge();
        // SAFETY: the module's function and its own pointer, which FTS5 keeps while it is alive, as it is calling; the
        // arguments are NUL-terminated, and their number is given (rules 22, 27).
        let code = unsafe { create(context, pointers.as_ptr(), to_int(pointers.len()), &raw mut tokenizer) };
        drop(charge);
        self.db.check_within(code)?;
        self.wrapped.push(Wrapped { tokenizer, delete, tokenize, is_running: Cell::new(false) });
        Ok(Some(self.wrapped.len() - 1))
    }

    fn find(&self, name: &CStr) -> Option<(CreateTokenizer, *mut c_void, Option<DeleteTokenizer>, Method)> {
        let api = self.fts5.0.as_ptr();
        let mut context = ptr::null_mut();
        if self.fts5.version() >= WITH_LOCALE {
            let mut module: *mut ModuleWithLocale = ptr::null_mut();
            let find = member!(api, find_tokenizer_v2)?;
            // SAFETY: FTS5's struct and its own function; the name is NUL-terminated (rules 22, 27).
            let code = unsafe { find(api, name.as_ptr(), &raw mut context, &raw mut module) };
            let module = NonNull::new(module).filter(|_| code == ffi::SQLITE_OK)?;
            // SAFETY: FTS5's own copy of the module, which it keeps until the connection closes (rule 27).
            let module = unsafe { module.read() };
            return Some((module.create?, context, module.delete, Method::WithLocale(module.tokenize?)));
        }
        let mut module = Module { create: None, delete: None, tokenize: None };
        let find = member!(api, find_tokenizer)?;
        // SAFETY: as above; FTS5 writes a copy of the module (rules 22, 27).
        let code = unsafe { find(api, name.as_ptr(), &raw mut context, &raw mut module) };
        if code != ffi::SQLITE_OK {
            return None;
        }
        Some((module.create?, context, module.delete, Method::Plain(module.tokenize?)))
    }
}

const NO_MORE: &str = "FTS5 takes no further tokens of this text";

/// The way of tokens to FTS5.
pub(crate) struct Tokens<'call> {
    db: &'call Db,
    context: *mut c_void,
    take: Option<TakeToken>,
    request: Request<'call>,
    /// The text, if it is UTF-8.
    utf8: Option<&'call str>,
    wrapped: &'call [Wrapped],
    /// Range of the token before.
    before: Option<Range<usize>>,
    /// Answer of FTS5 to the last token; it takes no more unless that is `SQLITE_OK`.
    code: c_int,
}

impl Tokens<'_> {
    /// Passes a token to FTS5, which takes it as one of the range of the text.
    ///
    /// `highlight` copies the text between the tokens by their ranges, without checks, and expects them in order: it
    /// reads beyond the text otherwise.
    pub(crate) fn push(&mut self, token: &[u8], range: Range<usize>, is_colocated: bool) -> Result<(), Fault> {
        if self.code != ffi::SQLITE_OK {
            return Err(misuse(NO_MORE));
        }
        let text = self.request.text;
        let is_boundary = |at| self.utf8.is_none_or(|text| text.is_char_boundary(at));
        if range.start > range.end || range.end > text.len() {
            return Err(misuse("the range of a token is not within the text"));
        }
        if !is_boundary(range.start) || !is_boundary(range.end) {
            return Err(misuse("the range of a token begins or ends within a character"));
        }
        match &self.before {
            None if is_colocated => {
                return Err(misuse("the first token of a text has none before it to be colocated with"));
            }
            Some(before) if range.start < before.start || (range.end < before.end && !is_colocated) => {
                return Err(misuse("the ranges of tokens are not in the order of the text"));
            }
            _ => {}
        }
        let (Some(take), Ok(len), Ok(start), Ok(end)) =
            (self.take, c_int::try_from(token.len()), c_int::try_from(range.start), c_int::try_from(range.end))
        else {
            return Err(Fault::new(FaultKind::TooBig { what: "token", bytes: token.len() }));
        };
        if !is_colocated {
            self.before = Some(range);
        }
        let flags = if is_colocated { COLOCATED } else { 0 };
        let charge = self.db.charge();
        // SAFETY: FTS5's function and context, for the call that runs; the token is `len` bytes, which FTS5 copies; the
        // range is within the text, in order (rules 22, 27).
        self.code = unsafe { take(self.context, flags, token.as_ptr().cast(), len, start, end) };
        drop(charge);
        match self.code {
            ffi::SQLITE_OK => Ok(()),
            ffi::SQLITE_DONE => Err(misuse(NO_MORE)),
            code => Err(code_fault(code)),
        }
    }

    /// Returns the tokens that a wrapped tokenizer makes of a text, for the same reason and in the same locale.
    pub(crate) fn wrapped(&self, number: usize, text: &str) -> Result<TokenList, Fault> {
        let Some(wrapped) = self.wrapped.get(number) else {
            return Err(misuse("the wrapped tokenizer belongs to another one"));
        };
        let Ok(len) = c_int::try_from(text.len()) else {
            return Err(Fault::new(FaultKind::TooBig { what: "text", bytes: text.len() }));
        };
        if wrapped.is_running.replace(true) {
            return Err(misuse("the wrapped tokenizer is running"));
        }
        let mut list = TokenList::default();
        let context: *mut c_void = (&raw mut list).cast();
        let flags = self.request.flags.0;
        let charge = self.db.charge();
        let code = match wrapped.tokenize {
            Method::Plain(tokenize) => {
                let text = text.as_ptr().cast();
                // SAFETY: a tokenizer and the function of its module; the text is `len` bytes; the context is that
                // which `list_token` takes (rules 22, 27).
                unsafe { tokenize(wrapped.tokenizer, context, flags, text, len, Some(list_token)) }
            }
            Method::WithLocale(tokenize) => {
                let locale = self.request.locale.unwrap_or_default();
                let (locale, locale_len) =
                    if locale.is_empty() { (ptr::null(), 0) } else { (locale.as_ptr().cast(), to_int(locale.len())) };
                let text = text.as_ptr().cast();
                // SAFETY: as above; the locale is as many bytes (rules 22, 27).
                unsafe { tokenize(wrapped.tokenizer, context, flags, text, len, locale, locale_len, Some(list_token)) }
            }
        };
        drop(charge);
        wrapped.is_running.set(false);
        self.db.check_within(code)?;
        Ok(list)
    }
}

fn to_int(len: usize) -> c_int {
    c_int::try_from(len).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn create<T: RawTokenizer, F>(
    entry: *mut c_void,
    arguments: *const *const c_char,
    count: c_int,
    place: *mut *mut c_void,
) -> c_int
where
    F: Fn(&mut Setup<'_>) -> Result<T, CallbackFailure> + Send + 'static,
{
    // SAFETY: FTS5 passes what `register_tokenizer` gave it with this function, which is registered until the connection
    // is closed (rules 14, 27).
    let entry = unsafe { Entry::<Factory<F>>::of(entry) };
    let db = entry.db();
    let count = usize::try_from(count).unwrap_or(0);
    let arguments: &[*const c_char] = if arguments.is_null() || count == 0 {
        &[]
    } else {
        // SAFETY: FTS5 passes an array of so many arguments (rule 27).
        unsafe { slice::from_raw_parts(arguments, count) }
    };
    // SAFETY: each argument is NUL-terminated, and lives during the call (rules 22, 27).
    let arguments = arguments.iter().map(|&argument| unsafe { CStr::from_ptr(argument) }.to_bytes()).collect();
    let depth = &entry.call.depth;
    let mut setup = Setup { fts5: entry.call.fts5, db, arguments, depth, wrapped: Vec::new() };
    let created = entry.call_back(|factory| {
        depth.set(depth.get() + 1);
        let _ascend = Ascend(depth);
        (factory.create)(&mut setup).map_err(|failure| db.keep_failure_of_code(failure))
    });
    match created {
        Some(Ok(tokenizer)) => {
            let tokenizer = Cell::new(Some(Box::new(tokenizer)));
            let instance = Box::new(Instance { db: NonNull::from(db), tokenizer, wrapped: setup.wrapped });
            // SAFETY: FTS5's place for the new tokenizer (rule 27).
            unsafe { place.write(Box::into_raw(instance).cast()) }
            ffi::SQLITE_OK
        }
        Some(Err(code)) => code,
        None => ffi::SQLITE_ERROR,
    }
}

struct Ascend<'depth>(&'depth Cell<u32>);

impl Drop for Ascend<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Deletes a tokenizer. Its Drop is the program's code, and does not run here.
unsafe extern "C" fn delete<T: RawTokenizer>(instance: *mut c_void) {
    // SAFETY: created by `create` of the same `T`; FTS5 deletes it once, when it is not running (rules 22, 27).
    let instance = unsafe { Box::from_raw(instance.cast::<Instance<T>>()) };
    let Instance { db, tokenizer, wrapped } = *instance;
    drop(wrapped);
    if let Some(tokenizer) = tokenizer.take() {
        // SAFETY: FTS5 deletes its tokenizers at the latest in `sqlite3_close`, and the connection is freed after that
        // (rule 6). It does not move (rule 14).
        unsafe { db.as_ref() }.release(tokenizer);
    }
}

unsafe extern "C" fn tokenize<T: RawTokenizer>(
    instance: *mut c_void,
    context: *mut c_void,
    flags: c_int,
    text: *const c_char,
    len: c_int,
    take: Option<TakeToken>,
) -> c_int {
    // SAFETY: FTS5 calls this with what it passes to the function of the newer interface, but for the locale (rule 27).
    unsafe { tokenize_with_locale::<T>(instance, context, flags, text, len, ptr::null(), 0, take) }
}

unsafe extern "C" fn tokenize_with_locale<T: RawTokenizer>(
    instance: *mut c_void,
    context: *mut c_void,
    flags: c_int,
    text: *const c_char,
    len: c_int,
    locale: *const c_char,
    locale_len: c_int,
    take: Option<TakeToken>,
) -> c_int {
    // SAFETY: created by `create` of the same `T`, and not deleted (rule 27). Only shared references to it exist.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    // SAFETY: as in `delete` (rules 6, 14).
    let db = unsafe { instance.db.as_ref() };
    // A tokenizer reports to FTS5 alone, so that only foreign code can run it while it is running.
    let Some(mut tokenizer) = instance.tokenizer.take() else {
        return ffi::SQLITE_MISUSE;
    };
    // SAFETY: the text of the call, and its length (rules 22, 27).
    let text = unsafe { bytes(text, len) };
    // SAFETY: the locale of the call, or NULL, and its length (rules 22, 27).
    let locale = (!locale.is_null()).then(|| unsafe { bytes(locale, locale_len) });
    let request = Request { text, locale, flags: Flags(flags) };
    let utf8 = str::from_utf8(text).ok();
    let mut tokens =
        Tokens { db, context, take, request, utf8, wrapped: &instance.wrapped, before: None, code: ffi::SQLITE_OK };
    let done = db.call_back(|| match tokenizer.tokenize(request, &mut tokens) {
        // As for SQLite's own tokenizers, it is no error that FTS5 has had enough.
        _ if tokens.code == ffi::SQLITE_DONE => ffi::SQLITE_OK,
        _ if tokens.code != ffi::SQLITE_OK => tokens.code,
        Ok(()) => ffi::SQLITE_OK,
        Err(failure) => db.keep_failure_of_code(failure),
    });
    instance.tokenizer.set(Some(tokenizer));
    done.unwrap_or(ffi::SQLITE_ERROR)
}
