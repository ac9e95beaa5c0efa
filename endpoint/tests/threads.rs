//! The endpoint's thread ends with its owner, wherever that is dropped: in turn with a pool and a checkpointer, at the end
//! of a thread, and in a forked child process.
#![cfg(target_os = "linux")]

use std::cell::RefCell;
use std::ffi::{c_int, c_uint};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use finalite::pool::{Checkpointer, Pool};
use finalite::{Connection, LeakCheck, OpenOptions, ProcessSnapshot, stats};
use finalite_endpoint::{Endpoint, ServeError, serve, to_openmetrics};

/// As short as sleeping gets: a thread that is to be seen at work.
const OFTEN: Duration = Duration::from_millis(1);
/// Not within this test.
const NEVER: Duration = Duration::from_secs(3600);

/// They count the threads of the process: so there is one test, which takes one case after the other.
#[test]
fn the_thread_ends_with_its_owner() {
    each_owner_is_dropped_in_its_turn();
    it_is_dropped_at_the_end_of_a_thread();
    it_is_dropped_by_a_child();
    a_child_tells_of_its_own_connections();
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

fn background_threads() -> u64 {
    stats::snapshot().process.background_threads
}

/// Each owner is dropped in its turn, and nothing may be left when that returns.
fn open_use_and_drop(path: &Path, turn: usize) {
    let options = OpenOptions::recommended().pragma("synchronous", "off");
    let pool = Arc::new(Pool::builder(path).readers(1).options(options).build().unwrap());
    let endpoint = serve("127.0.0.1:0").unwrap();
    let every = if turn.is_multiple_of(2) { OFTEN } else { NEVER };
    let checkpointer = Checkpointer::start(&pool, every).unwrap();
    assert_eq!(background_threads(), 2);
    pool.writer().unwrap().execute("INSERT INTO t(b) VALUES ('x')", ()).unwrap();
    let rows: usize = pool.reader().unwrap().query_one("SELECT count(*) FROM t", ()).unwrap();
    assert_eq!(rows, turn + 1);
    let answer = get(endpoint.address(), "/metrics");
    assert!(answer.contains("\nsqlite_background_threads 2\n"), "{answer}");
    let address = endpoint.address();
    drop(endpoint);
    assert!(TcpStream::connect(address).is_err(), "somebody still listens");
    assert_eq!(background_threads(), 1);
    if turn.is_multiple_of(3) {
        // The pool first: the checkpointer does not keep it.
        drop(pool);
        drop(checkpointer);
    } else {
        drop(checkpointer);
        drop(pool);
    }
    assert_eq!(background_threads(), 0);
    let wal = path.with_extension("db-wal");
    assert!(!wal.exists(), "turn {turn}: {wal:?} is there");
}

fn each_owner_is_dropped_in_its_turn() {
    let turns = if std::env::var_os("FINALITE_LONG_RUN").is_some() { 1000 } else { 100 };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = OpenOptions::recommended().open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b)").unwrap();
    drop(conn);
    // What tokio keeps for the process: with its feature `signal`, a pair of sockets from the first runtime on.
    drop(serve("127.0.0.1:0").unwrap());
    let before = ProcessSnapshot::now();
    let check = LeakCheck::new();
    (0..turns).for_each(|turn| open_use_and_drop(&path, turn));
    let report = check.finish();
    assert!(report.is_clean(), "{report}");
    // Descriptors and threads, too.
    assert_eq!(ProcessSnapshot::now(), before);
    // The control: what is kept is seen.
    let kept = serve("127.0.0.1:0").unwrap();
    assert_eq!(ProcessSnapshot::now().threads, before.threads + 1);
    drop(kept);
}

thread_local! {
    /// Filled before anything of finalite's is used on the thread, and so dropped after that is gone.
    static LAST: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
}

/// Serves once more while the thread's other variables are gone, and tells whether that panicked.
struct AtEnd {
    endpoint: Option<Endpoint>,
    report: mpsc::Sender<thread::Result<()>>,
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        drop(self.endpoint.take());
        let again = catch_unwind(|| {
            let endpoint = serve("127.0.0.1:0").unwrap();
            assert!(endpoint.url().starts_with("http"));
            assert!(get(endpoint.address(), "/healthz").ends_with("ok\n"));
        });
        self.report.send(again).unwrap();
    }
}

fn it_is_dropped_at_the_end_of_a_thread() {
    let (report, outcome) = mpsc::channel();
    let thread = thread::spawn(move || {
        LAST.set(Some(AtEnd { endpoint: None, report }));
        let endpoint = serve("127.0.0.1:0").unwrap();
        drop(stats::snapshot());
        LAST.with_borrow_mut(|last| last.as_mut().unwrap().endpoint = Some(endpoint));
    });
    thread.join().unwrap();
    outcome.recv().unwrap().unwrap();
    assert_eq!(background_threads(), 0);
}

unsafe extern "C" {
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
    fn alarm(seconds: c_uint) -> c_uint;
}

/// Runs this in a forked child; returns whether it said yes. A child that hangs is killed.
fn in_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child leaves by `_exit`.
    let pid = unsafe { fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: takes a number; the signal's default is to end the process.
        unsafe { alarm(120) };
        let is_good = catch_unwind(AssertUnwindSafe(work)).unwrap_or(false);
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { _exit(c_int::from(!is_good)) }
    }
    let mut status = 0;
    // SAFETY: the child was made above, and is waited for once.
    assert_eq!(unsafe { waitpid(pid, &raw mut status, 0) }, pid);
    status == 0
}

fn a_child_tells_of_its_own_connections() {
    let inherited = OpenOptions::new().open_in_memory().unwrap();
    inherited.execute_batch("CREATE TABLE t(a)").unwrap();
    drop(stats::snapshot());
    inherited.set_busy_timeout(Duration::ZERO).unwrap();
    let schema_bytes = || {
        let text = to_openmetrics(&stats::snapshot());
        assert!(text.ends_with("# EOF\n"));
        let line = text.lines().find_map(|line| line.strip_prefix("sqlite_db_memory_bytes{component=\"schema\"} "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let of_parent = schema_bytes();
    assert!(in_child(|| {
        let before = schema_bytes();
        let own = Connection::open_in_memory().unwrap();
        own.execute_batch("CREATE TABLE t(a)").unwrap();
        drop(stats::snapshot());
        own.set_busy_timeout(Duration::ZERO).unwrap();
        (before, schema_bytes()) == (0, own.memory().schema_bytes)
    }));
    assert!(of_parent > 0 && schema_bytes() == of_parent);
    // The control: an answer of no is heard.
    assert!(!in_child(|| schema_bytes() == of_parent));
}

fn it_is_dropped_by_a_child() {
    let mut endpoint = Some(serve("127.0.0.1:0").unwrap());
    assert_eq!(background_threads(), 1);
    assert!(in_child(|| {
        drop(endpoint.take());
        background_threads() == 0
    }));
    // The child's drop has not stopped it here.
    assert!(get(endpoint.as_ref().unwrap().address(), "/healthz").ends_with("ok\n"));
    drop(endpoint);
    assert_eq!(background_threads(), 0);
}

#[test]
fn an_error_is_shown_before_its_parts() {
    let error = ServeError::Bind(std::io::Error::other("no address"));
    let display = error.to_string();
    for debug in [format!("{error:?}"), format!("{error:#?}")] {
        assert!(debug.starts_with(&format!("{display}; ")), "{debug}");
    }
}
