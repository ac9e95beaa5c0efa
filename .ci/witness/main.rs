//! Compares what finalite says of SQLite's memory with what a preloaded library sees at `malloc`.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, LazyLock};
use std::{hint, mem, process, ptr, thread};

use finalite::memory::{self, Backend, Mode};
use finalite::{Connection, ffi};

const ARENA: usize = 256 << 20;

/// Rust's memory comes from here and not from `malloc`. Nothing is given back.
#[repr(align(4096))]
struct Arena(UnsafeCell<[u8; ARENA]>);

// SAFETY: each part is handed out once.
unsafe impl Sync for Arena {}

static MEMORY: Arena = Arena(UnsafeCell::new([0; ARENA]));
static USED: AtomicUsize = AtomicUsize::new(0);

struct Bump;

#[global_allocator]
static GLOBAL: Bump = Bump;

// SAFETY: parts are aligned as asked for, do not overlap, and live as long as the process.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        assert!(layout.align() <= 4096);
        let end = |used: usize| used.next_multiple_of(layout.align()).checked_add(layout.size());
        let take = |used| end(used).filter(|&end| end <= ARENA);
        match USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(used) => MEMORY.0.get().cast::<u8>().wrapping_add(used.next_multiple_of(layout.align())),
            Err(_) => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

unsafe extern "C" {
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn malloc(bytes: usize) -> *mut c_void;
    fn free(block: *mut c_void);
    fn strdup(text: *const c_char) -> *mut c_char;
}

/// The preloaded library's counts.
struct Witness {
    bytes: extern "C" fn() -> i64,
    blocks: extern "C" fn() -> i64,
    before: (i64, i64),
}

impl Witness {
    fn find() -> Option<Self> {
        let find = |name: &CStr| {
            // SAFETY: the name is NUL-terminated, and NULL stands for all libraries.
            let found = unsafe { dlsym(ptr::null_mut(), name.as_ptr()) };
            // SAFETY: not NULL; both are functions of this type in preload.c.
            (!found.is_null()).then(|| unsafe { mem::transmute::<*mut c_void, extern "C" fn() -> i64>(found) })
        };
        let (bytes, blocks) = (find(c"witness_bytes")?, find(c"witness_blocks")?);
        Some(Self { bytes, blocks, before: (bytes(), blocks()) })
    }

    /// Bytes and blocks since the beginning.
    fn sees(&self) -> (i64, i64) {
        ((self.bytes)() - self.before.0, (self.blocks)() - self.before.1)
    }

    fn agrees(&self) -> bool {
        let stats = memory::stats();
        let (bytes, blocks) = (stats.bytes.cast_signed(), stats.blocks.cast_signed());
        self.sees() == (bytes + 16 * blocks, blocks)
    }

    fn compare(&self, instant: &str) {
        let stats = memory::stats();
        let (bytes, blocks) = self.sees();
        println!(
            "{instant}: finalite says {} bytes in {} blocks, malloc was asked for {bytes} in {blocks}",
            stats.bytes, stats.blocks
        );
        assert!(self.agrees(), "{instant}: they differ");
    }
}

/// Where all threads meet: this one and the workers.
static MEETING: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(1 + WORKERS));
const WORKERS: usize = 4;

/// Opens and closes when told, and stays: the end of a thread frees its handle.
fn work() -> ! {
    // The handle of a thread is made when it is first asked for, past Rust's global allocator.
    drop(thread::current());
    MEETING.wait();
    MEETING.wait();
    let conn = open();
    MEETING.wait();
    MEETING.wait();
    drop(conn);
    MEETING.wait();
    loop {
        thread::park();
    }
}

fn main() {
    drop(thread::current());
    for _ in 0..WORKERS {
        thread::spawn(|| work());
    }
    MEETING.wait();
    let Some(witness) = Witness::find() else {
        eprintln!("the witness is not preloaded");
        process::exit(2);
    };
    assert_eq!(memory::mode(), Mode::Counting);
    assert_eq!(memory::stats().blocks, 0);
    witness.compare("at the start");
    run(&witness);
    controls(&witness);

    // From Rust's global allocator: nothing of it comes to `malloc`.
    memory::set_backend(Backend::RustGlobal).unwrap();
    let conn = open();
    assert!(memory::stats().bytes > 100_000);
    assert_eq!(witness.sees(), (0, 0));
    memory::set_backend(Backend::System).unwrap();
    drop(conn);
    witness.compare("at the end");
    assert_eq!(memory::stats().blocks, 0);
}

fn open() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b);
         WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
         INSERT INTO t SELECT n, printf('row %d', n) FROM n;
         CREATE INDEX i ON t(b);",
    )
    .unwrap();
    conn
}

fn run(witness: &Witness) {
    let conn = open();
    assert!(memory::stats().bytes > 100_000);
    witness.compare("with a table");

    let mut statements: Vec<_> =
        (0..300).map(|n| conn.prepare(&format!("SELECT b, {n} FROM t ORDER BY b || {n}")).unwrap()).collect();
    let mut rows = statements[7].query(()).unwrap();
    for _ in 0..10 {
        rows.next().unwrap().unwrap();
    }
    assert!(memory::stats().blocks > 3_000);
    witness.compare("in the middle of a scan, 300 statements");

    let bytes = memory::stats().bytes;
    MEETING.wait();
    MEETING.wait();
    assert!(memory::stats().bytes > bytes + 4 * 100_000);
    witness.compare("with connections on four more threads");
    MEETING.wait();
    MEETING.wait();
    drop(rows);
    drop(statements);
    drop(conn);
    witness.compare("after close");
    assert_eq!((memory::stats().bytes, memory::stats().blocks), (0, 0));
}

/// That the comparison can fail, and does not see what it should not.
fn controls(witness: &Witness) {
    let bytes: c_int = 12_345;
    // SAFETY: takes a number.
    let leaked = unsafe { ffi::sqlite3_malloc(bytes) };
    assert!(!leaked.is_null());
    assert_eq!(memory::stats().bytes, 12_345);
    assert_eq!(witness.sees(), (12_345 + 16, 1));
    witness.compare("with a leak of 12345 bytes");
    // SAFETY: the block is alive.
    unsafe { ffi::sqlite3_free(leaked) };

    // Asked for by the C library, on this program's behalf.
    // SAFETY: the text is NUL-terminated.
    let text = unsafe { strdup(c"of another caller".as_ptr()) };
    assert!(!text.is_null());
    assert_eq!(witness.sees(), (0, 0));
    // SAFETY: the block is alive.
    unsafe { free(text.cast()) };
    witness.compare("with a block of the C library's");

    // Asked for by this program past SQLite.
    // SAFETY: takes a number.
    let block = hint::black_box(unsafe { malloc(100) });
    assert!(!block.is_null());
    assert_eq!(witness.sees(), (100, 1));
    assert!(!witness.agrees(), "the comparison cannot fail");
    // SAFETY: the block is alive.
    unsafe { free(block) };
}
