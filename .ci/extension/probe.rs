//! Functions that succeed, fail and panic, tables whose cursors stay on their thread, and entry points that fail.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Once;
use std::sync::atomic::{AtomicI64, Ordering};

use finalite::extend::virtual_table::{
    CellCall, Declared, FilterCall, IndexQuery, NewRow, OldRow, TableCall, TableCursor, TableDefinition, TableError,
    TransactionalTable, VirtualTable, WritableTable,
};
use finalite::extend::{
    CallbackError, Extension, FunctionOptions, TokenizeRequest, Tokenizer, Tokens, aggregate, window,
};
use finalite::{OpenOptions, Result, vfs};

/// Counts the bytes of the library's heap.
struct Counting;

static BYTES: AtomicI64 = AtomicI64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: the system's allocator, whose calls are passed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(signed(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.fetch_sub(signed(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Values that exist and count themselves.
static ALIVE: AtomicI64 = AtomicI64::new(0);

struct Alive;

impl Alive {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

fn register(extension: &Extension<'_>) -> Result<()> {
    register_vfs();
    // A connection of the library's own, to another database of the host's SQLite.
    extension.create_scalar_function("own_connection", |path: &str| -> Result<String> {
        OpenOptions::new().vfs("probe").open(path)?.query_one("SELECT group_concat(a) FROM t", ())
    })?;
    let alive = Alive::new();
    extension.create_scalar_function("twice", move |n: i64| {
        let _alive = &alive;
        2 * n
    })?;
    extension.create_scalar_function("probe_alive", || ALIVE.load(Ordering::Relaxed))?;
    extension.create_scalar_function("probe_bytes", || BYTES.load(Ordering::Relaxed))?;
    extension.create_scalar_function("probe_handles", || {
        finalite::handles::counts().total().to_string() + " " + &finalite::memory::mode().to_string()
    })?;
    extension.create_scalar_function("fails", |text: &str| Err::<i64, CallbackError>(format!("no {text}").into()))?;
    extension.create_scalar_function("boom", |n: i64| if n > 1 { panic!("boom of {n}") } else { n })?;
    extension.create_scalar_function_with("reads", FunctionOptions::new().arguments(1), |call| {
        call.connection().query_one::<Option<i64>>(call.get(0)?, ()).map_err(CallbackError::from)
    })?;
    extension.create_scalar_function_with("kept", FunctionOptions::new().arguments(1), |call| {
        let kept = call.auxiliary(0, || Ok::<_, CallbackError>(Alive::new()))?;
        let _: &Alive = kept;
        Ok(ALIVE.load(Ordering::Relaxed))
    })?;
    let lengths = aggregate(
        || (0, Alive::new()),
        |(sum, _): &mut (i64, Alive), text: &str| {
            *sum += i64::try_from(text.len()).unwrap_or(i64::MAX);
            if text == "fail" { Err("a text is fail") } else { Ok(()) }
        },
        |(sum, _): (i64, Alive)| sum,
    );
    extension.create_aggregate_function("lengths", lengths)?;
    let moving = window(|| 0, |sum: &mut i64, n: i64| *sum += n, |sum: &mut i64, n: i64| *sum -= n, |sum: &i64| *sum);
    extension.create_window_function("moving_sum", moving)?;
    extension.create_collation("reversed", |a: &str, b: &str| b.cmp(a))?;
    extension.create_collation("brittle", |a: &str, b: &str| {
        assert!(a != "x" && b != "x", "an x");
        a.cmp(b)
    })?;
    extension.create_table_function("parts", ["part"], |text: &str, separator: &str| {
        text.split(separator).map(|part| (part.to_owned(),)).collect::<Vec<_>>()
    })?;
    extension.create_module::<Local>("local", ())?;
    extension.create_transactional_module::<Notes>("notes", Alive::new())?;
    match extension.create_fts_function("failing_rank", |_| Err::<f64, CallbackError>("no rank".into())) {
        Err(error) if matches!(error.kind(), finalite::ErrorKind::Unsupported { .. }) => Ok(()),
        result => result,
    }?;
    match extension.create_tokenizer("tags", |_| Ok(Tags(Alive::new()))) {
        Err(error) if matches!(error.kind(), finalite::ErrorKind::Unsupported { .. }) => Ok(()),
        result => result,
    }?;
    Ok(())
}

/// A file system of the library, for the whole process.
fn register_vfs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The library under another name has registered one.
        let _ = vfs::register("probe", Files(vfs::Memory::new()));
    });
}

struct Files(vfs::Memory);

impl vfs::Vfs for Files {
    type File = <vfs::Memory as vfs::Vfs>::File;

    fn open(&self, name: Option<&vfs::FileName>, flags: vfs::OpenFlags) -> vfs::VfsResult<Self::File> {
        let is_bad = name.is_some_and(|name| name.path().ends_with("panic.db"));
        assert!(!is_bad, "while a file is opened");
        self.0.open(name, flags)
    }

    fn delete(&self, path: &Path, sync_directory: bool) -> vfs::VfsResult<()> {
        self.0.delete(path, sync_directory)
    }

    fn access(&self, path: &Path, access: vfs::Access) -> vfs::VfsResult<bool> {
        self.0.access(path, access)
    }

    fn full_path(&self, path: &Path) -> vfs::VfsResult<vfs::FullPath> {
        self.0.full_path(path)
    }
}

fn failing(extension: &Extension<'_>) -> Result<()> {
    extension.create_scalar_function("left_behind", |n: i64| n + 1)?;
    extension.connection().query_one::<i64>("SELECT no_such_function()", ())?;
    Ok(())
}

fn panicking(extension: &Extension<'_>) -> Result<()> {
    let alive = Alive::new();
    extension.create_scalar_function("left_behind", move |n: i64| {
        let _alive = &alive;
        n + 1
    })?;
    panic!("the initialization of {}", "an extension");
}

fn small(extension: &Extension<'_>) -> Result<()> {
    let alive = Alive::new();
    extension.create_scalar_function("twice", move |n: i64| {
        let _alive = &alive;
        2 * n
    })?;
    extension.create_scalar_function("probe_alive", || ALIVE.load(Ordering::Relaxed))?;
    extension.create_scalar_function("probe_bytes", || BYTES.load(Ordering::Relaxed))?;
    let table = [(1,), (2,)];
    extension.create_table_function("two", ["n"], move || table)?;
    Ok(())
}

/// Ends well after an error.
fn handled(extension: &Extension<'_>) -> Result<()> {
    extension.create_scalar_function("handled", || 1)?;
    let _ = extension.connection().query_one::<i64>("SELECT no_such_function()", ());
    Ok(())
}

finalite::loadable_extension!(register);
finalite::loadable_extension!(sqlite3_probe_handled_init, handled);
finalite::loadable_extension!(sqlite3_probe_failing_init, failing);
finalite::loadable_extension!(sqlite3_probe_panicking_init, panicking);
finalite::loadable_extension!(sqlite3_probe_small_init, small);

/// A table of the numbers from 1 to 3, whose cursors cannot be sent to another thread.
struct Local(Alive);

impl VirtualTable for Local {
    type Shared = ();
    type Cursor<'t> = LocalCursor;
    const KIND: finalite::extend::virtual_table::TableKind = finalite::extend::virtual_table::TableKind::EponymousOnly;

    fn connect(_: &(), _: &TableDefinition<'_>) -> std::result::Result<Declared<Self>, CallbackError> {
        Ok(Declared::new("CREATE TABLE t(n)", Self(Alive::new())))
    }

    fn best_index(&self, _: &mut IndexQuery<'_>) -> std::result::Result<(), CallbackError> {
        let _ = &self.0;
        Ok(())
    }

    fn open(&self, _: &()) -> std::result::Result<LocalCursor, CallbackError> {
        Ok(LocalCursor(Rc::new(RefCell::new(0))))
    }
}

struct LocalCursor(Rc<RefCell<i64>>);

impl TableCursor for LocalCursor {
    fn filter(&mut self, _: &FilterCall<'_>) -> std::result::Result<bool, CallbackError> {
        *self.0.borrow_mut() = 1;
        Ok(true)
    }

    fn next(&mut self, _: &TableCall<'_>) -> std::result::Result<bool, CallbackError> {
        let other = Rc::clone(&self.0);
        *other.borrow_mut() += 1;
        Ok(*self.0.borrow() <= 3)
    }

    fn column(&self, _: usize, cell: &CellCall<'_>) -> std::result::Result<(), CallbackError> {
        cell.set(*self.0.borrow())
    }

    fn rowid(&self) -> std::result::Result<i64, CallbackError> {
        Ok(*self.0.borrow())
    }
}

/// A table of texts in memory, with transactions.
struct Notes {
    texts: RefCell<Vec<Option<String>>>,
    before: RefCell<Vec<Option<String>>>,
    _alive: Alive,
}

impl VirtualTable for Notes {
    type Shared = Alive;
    type Cursor<'t> = NotesCursor<'t>;

    fn connect(_: &Alive, _: &TableDefinition<'_>) -> std::result::Result<Declared<Self>, CallbackError> {
        let table = Self { texts: RefCell::default(), before: RefCell::default(), _alive: Alive::new() };
        Ok(Declared::new("CREATE TABLE t(text)", table))
    }

    fn best_index(&self, _: &mut IndexQuery<'_>) -> std::result::Result<(), CallbackError> {
        Ok(())
    }

    fn open(&self, _: &Alive) -> std::result::Result<NotesCursor<'_>, CallbackError> {
        Ok(NotesCursor { notes: self, at: 0 })
    }
}

fn index(rowid: i64) -> std::result::Result<usize, CallbackError> {
    Ok(usize::try_from(rowid)?)
}

impl WritableTable for Notes {
    fn insert(&self, row: &NewRow<'_>) -> std::result::Result<i64, CallbackError> {
        let text: String = row.get(0)?;
        match &*text {
            "refused" => return Err(TableError::constraint("that text is refused").into()),
            "panic" => panic!("while a row is inserted"),
            _ => {}
        }
        let mut texts = self.texts.borrow_mut();
        texts.push(Some(text));
        Ok(i64::try_from(texts.len())? - 1)
    }

    fn update(&self, old: &OldRow<'_>, row: &NewRow<'_>) -> std::result::Result<(), CallbackError> {
        self.texts.borrow_mut()[index(old.rowid()?)?] = row.get(0)?;
        Ok(())
    }

    fn delete(&self, old: &OldRow<'_>) -> std::result::Result<(), CallbackError> {
        self.texts.borrow_mut()[index(old.rowid()?)?] = None;
        Ok(())
    }
}

impl TransactionalTable for Notes {
    fn begin(&self) -> std::result::Result<(), CallbackError> {
        self.before.borrow_mut().clone_from(&self.texts.borrow());
        Ok(())
    }

    fn commit(&self) {}

    fn rollback(&self) {
        *self.texts.borrow_mut() = self.before.take();
    }
}

struct NotesCursor<'t> {
    notes: &'t Notes,
    at: usize,
}

impl NotesCursor<'_> {
    fn skip(&mut self) -> bool {
        let texts = self.notes.texts.borrow();
        while texts.get(self.at).is_some_and(Option::is_none) {
            self.at += 1;
        }
        self.at < texts.len()
    }
}

impl TableCursor for NotesCursor<'_> {
    fn filter(&mut self, _: &FilterCall<'_>) -> std::result::Result<bool, CallbackError> {
        self.at = 0;
        Ok(self.skip())
    }

    fn next(&mut self, _: &TableCall<'_>) -> std::result::Result<bool, CallbackError> {
        self.at += 1;
        Ok(self.skip())
    }

    fn column(&self, _: usize, cell: &CellCall<'_>) -> std::result::Result<(), CallbackError> {
        cell.set(self.notes.texts.borrow()[self.at].as_deref())
    }

    fn rowid(&self) -> std::result::Result<i64, CallbackError> {
        Ok(i64::try_from(self.at)?)
    }
}

/// A tokenizer of texts that are separated by commas.
struct Tags(Alive);

impl Tokenizer for Tags {
    fn tokenize(
        &mut self,
        request: TokenizeRequest<'_>,
        tokens: &mut Tokens<'_>,
    ) -> std::result::Result<(), CallbackError> {
        let _ = &self.0;
        let mut start = 0;
        for tag in request.text.split(',') {
            match tag {
                "refused" => return Err("that tag is refused".into()),
                "panic" => panic!("while a text is tokenized"),
                _ => {}
            }
            tokens.push(tag.trim().to_lowercase(), start..start + tag.len())?;
            start += tag.len() + 1;
        }
        Ok(())
    }
}
