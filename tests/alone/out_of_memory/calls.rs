//! Every call of C that can fail does, one after the other, in the same scenarios: the error is returned or told by an
//! event, nothing panics, nothing is left, and the connection works on.
//!
//! `.ci/c_calls.sh` links this program so that the driver's calls, and not SQLite's own, come by wrappers that fail.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use finalite::data::ConflictAction;
use finalite::handles::HandleCounts;
use finalite::scan::ScanStrategy;
use finalite::{Connection, Error, ErrorKind, ResultCode, ffi};

use super::Place::Memory;
use super::Run::{Alone, Shared};
use super::{
    Of, Outcome, Run, Scenario, Way, callbacks, changes, files, moving, scenarios, search, services, sweep,
    virtual_tables,
};
use crate::common::child::in_child;
use crate::common::listening::ignores_spans;
use crate::runner::cases;

cases![
    calls_of_statements,
    calls_beside_files,
    calls_in_virtual_tables,
    the_sweep_sees_errors_that_are_dropped,
    a_conflict_that_cannot_be_read_ends_the_call,
    a_version_that_cannot_be_read_loses_no_row_of_an_index,
    an_initialization_that_fails_is_tried_again,
    what_a_child_cannot_detach_it_does_not_use,
];

unsafe extern "C" {
    fn finalite_faults_arm(function: c_int, after: u64);
    fn finalite_faults_disarm() -> u64;
    fn finalite_faults_name(function: c_int) -> *const c_char;
    fn finalite_faults_calls(function: c_int) -> u64;
    fn finalite_faults_site() -> u64;
    fn finalite_faults_reached() -> u64;
    fn finalite_faults_faulted() -> u64;
    fn finalite_faults_close_left() -> c_int;
}

/// A function of C, by its number among the wrappers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function(c_int);

impl Function {
    /// None: calls are counted.
    const COUNTED: Self = Self(-1);

    /// All of them.
    fn all() -> impl Iterator<Item = Self> {
        (0..).map(Self).take_while(|function| function.name().is_some())
    }

    fn name(self) -> Option<&'static str> {
        // SAFETY: a number up to that of the end of the list, whose name is NULL.
        let name = unsafe { finalite_faults_name(self.0) };
        // SAFETY: a literal of C.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_str().unwrap())
    }

    /// Its calls while faults were armed.
    fn calls(self) -> u64 {
        // SAFETY: takes a number of the list.
        unsafe { finalite_faults_calls(self.0) }
    }

    /// Lets the call fail that comes after `n` others.
    pub fn arm(self, n: u64) {
        TOLD.store(0, Ordering::Relaxed);
        // SAFETY: takes numbers.
        unsafe { finalite_faults_arm(self.0, n) };
    }
}

/// Ends it, and returns how many calls have failed.
pub fn disarm() -> u64 {
    // SAFETY: takes nothing. What it closes, finalite has given up.
    unsafe {
        let failures = finalite_faults_disarm();
        LEFT.fetch_add(u64::try_from(finalite_faults_close_left()).unwrap(), Ordering::Relaxed);
        failures
    }
}

/// Connections that finalite counts as open for good, because closing them has failed.
static LEFT: AtomicU64 = AtomicU64::new(0);
/// Events at WARN or above since a fault was armed.
static TOLD: AtomicU64 = AtomicU64::new(0);

/// Open handles, without connections whose closing the sweep has let fail.
pub fn open_handles() -> HandleCounts {
    let mut handles = finalite::handles::counts();
    handles.connections -= LEFT.load(Ordering::Relaxed);
    handles
}

/// Where the call was that failed last, unless an event has told of it.
pub fn untold() -> Option<String> {
    // SAFETY: takes nothing.
    (TOLD.load(Ordering::Relaxed) == 0).then(|| format!("site {:#x}", unsafe { finalite_faults_site() }))
}

/// Whether an error is that of the fault: SQLITE_NOMEM, or SQLITE_BUSY of closing.
pub fn is_of_fault(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NoMemory { .. }) || error.code() == Some(ResultCode::BUSY)
}

struct Listener;

impl tracing::Subscriber for Listener {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn event(&self, _: &tracing::Event<'_>) {
        TOLD.fetch_add(1, Ordering::Relaxed);
    }

    ignores_spans!();
}

fn listen() {
    tracing::subscriber::set_global_default(Listener).unwrap();
}

/// What is found and is right: the function, the scenario, the reason.
const KNOWN: &[(&str, &str, &str)] = &[
    ("sqlite3_reset", "commit, or the transaction back", "what was told as failed was done, and cannot be done again"),
    (
        "sqlite3_value_text",
        "virtual tables whose methods fail",
        "the scenario compares an error, of which the text is a part",
    ),
    ("sqlite3_column_name", "a handle after a schema change", "an error of another kind"),
    (
        "sqlite3_finalize",
        "the cache: insert, hit, evict, clear",
        "the statement is not kept, and the scenario counts those that are",
    ),
    (
        "sqlite3_db_config",
        "reset a database",
        "fails for an unknown operation alone, and the same call has succeeded before",
    ),
];

/// What is made by calls of C that are not the driver's.
const BESIDE_THE_DRIVER: &[Scenario] = &[Scenario {
    name: "a handle that others have opened",
    run: Alone(|_| {
        let mut handle = ptr::null_mut();
        // SAFETY: the name is a C string, the rest a local and numbers. This is SQLite's own call, not the driver's.
        assert_eq!(unsafe { ffi::sqlite3_open(c":memory:".as_ptr(), &raw mut handle) }, 0);
        // SAFETY: opened above, and given away here.
        let conn = unsafe { Connection::from_raw(handle) }?;
        assert_eq!(conn.query_one::<i64>("SELECT 7", ())?, 7);
        conn.close()
    }),
}];

/// The scenario with each call of each function failing.
fn sweep_calls(scenario: &Scenario) -> Vec<(Function, Outcome)> {
    let way = |function| Way { sticky: false, lookaside: true, all_threads: false, of: Of::Calls(function) };
    let before: Vec<u64> = Function::all().map(Function::calls).collect();
    let counted = sweep(scenario, way(Function::COUNTED));
    let called = Function::all().zip(before).filter(|(function, before)| function.calls() > *before);
    let called: Vec<Function> = called.map(|(function, _)| function).collect();
    let swept = called.into_iter().map(|function| (function, sweep(scenario, way(function))));
    std::iter::once((Function::COUNTED, counted)).chain(swept).collect()
}

fn sweep_all<'s>(scenarios: impl Iterator<Item = &'s Scenario>, faults_min: u64) {
    listen();
    let (mut faults, mut findings) = (0, Vec::new());
    for scenario in scenarios {
        for (function, outcome) in sweep_calls(scenario) {
            faults += outcome.points;
            let name = function.name().unwrap_or("-");
            // `.ci/c_calls/judge.py` looks at these.
            outcome.untold.iter().for_each(|place| println!("{name}: {}, {place}, not told", scenario.name));
            let known = KNOWN.iter().find(|known| (known.0, known.1) == (name, scenario.name));
            match (outcome.finding, known) {
                (Some(_), Some((.., reason))) => println!("known: {name}, {}: {reason}", scenario.name),
                (finding, _) => findings.extend(finding.map(|finding| format!("{name}: {finding}"))),
            }
        }
    }
    // SAFETY: take nothing.
    let (reached, faulted) = unsafe { (finalite_faults_reached(), finalite_faults_faulted()) };
    println!("{faults} faults at {faulted} of {reached} call sites, {} findings", findings.len());
    for function in Function::all().filter(|function| function.calls() > 0) {
        println!("called: {}", function.name().unwrap());
    }
    assert!(findings.is_empty(), "{}", findings.join("\n\n"));
    assert!(faults >= faults_min, "{faults}");
}

fn calls_of_statements() {
    let parts = [
        scenarios::SCENARIOS,
        callbacks::SCENARIOS,
        changes::SCENARIOS,
        changes::OF_CALLS,
        BESIDE_THE_DRIVER,
        moving::SCENARIOS,
        search::SCENARIOS,
        services::SCENARIOS,
    ];
    sweep_all(parts.into_iter().flatten(), 1);
}

fn calls_beside_files() {
    sweep_all(files::SCENARIOS.iter(), 1);
}

fn calls_in_virtual_tables() {
    sweep_all(virtual_tables::SCENARIOS.iter(), 1);
}

/// Drivers that drop an error of a function.
const BROKEN: &[(&str, &str, Run)] = &[
    (
        "an error of finalize is dropped",
        "sqlite3_finalize",
        Shared(Memory, |conn| {
            let _ = conn.prepare("SELECT 1")?.finalize();
            Ok(())
        }),
    ),
    (
        "an error of close is dropped",
        "sqlite3_close",
        Alone(|_| {
            let _ = Connection::open_in_memory()?.close();
            Ok(())
        }),
    ),
];

fn the_sweep_sees_errors_that_are_dropped() {
    listen();
    for &(name, function, run) in BROKEN {
        let outcomes = sweep_calls(&Scenario { name, run });
        let (_, outcome) = outcomes.iter().find(|(swept, _)| swept.name() == Some(function)).unwrap();
        assert!(outcome.untold.len() == 1 && outcome.finding.is_none(), "{name}: {:?}", outcome.untold);
    }
}

/// SQLite's `sqlite3changeset_op` returns SQLITE_OK in each case: a wrapper alone has it fail.
fn a_conflict_that_cannot_be_read_ends_the_call() {
    listen();
    let open = || {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'old')").unwrap();
        conn
    };
    let (here, there) = (open(), open());
    let mut session = here.session().unwrap();
    session.attach_all().unwrap();
    here.execute("UPDATE t SET a = 'new'", ()).unwrap();
    let changeset = session.changeset().unwrap();
    there.execute("UPDATE t SET a = 'mine'", ()).unwrap();
    let function = Function::all().find(|function| function.name() == Some("sqlite3changeset_op")).unwrap();
    let mut asked = 0;
    let mut apply = || {
        there.apply_changeset(&changeset, |_| {
            asked += 1;
            ConflictAction::Omit
        })
    };
    function.arm(0);
    let result = apply();
    assert_eq!(disarm(), 1);
    assert!(result.as_ref().is_err_and(is_of_fault), "{result:?}");
    // The control: without a fault, it is asked.
    assert_eq!(apply().unwrap().conflicts(), 1);
    assert_eq!(asked, 1);
}

/// Without its version it is not known whether the database was written. A scan that took it for written in the middle of
/// a row that continues on other pages went on behind the key of that row.
fn a_version_that_cannot_be_read_loses_no_row_of_an_index() {
    listen();
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("data.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX t_b ON t(b);
         WITH RECURSIVE n(value) AS (VALUES (1) UNION ALL SELECT value + 1 FROM n WHERE value < 60)
         INSERT INTO t SELECT value, format('%5d', value) || hex(zeroblob(iif(value % 3 = 0, 5000, 5))) FROM n",
    )
    .unwrap();
    let function = Function::all().find(|function| function.name() == Some("sqlite3_file_control")).unwrap();
    let (mut whole, mut ended) = (0, 0);
    for threads in 1..3 {
        for n in 0.. {
            let mut found = Vec::new();
            function.arm(n);
            let scan = conn.scan("SELECT a, b FROM t INDEXED BY t_b", ()).strategy(ScanStrategy::Pages);
            let result = scan.threads(threads).for_each(|row| {
                found.push(row.get::<i64>(0)?);
                Ok::<_, Error>(())
            });
            let failures = disarm();
            // The control: each row, or an error, whichever call fails.
            match result {
                Ok(_) => assert_eq!(found, (1..=60).collect::<Vec<_>>(), "{threads} threads, call {n}"),
                Err(error) => assert!(failures == 1 && is_of_fault(&error), "{threads} threads, call {n}: {error:?}"),
            }
            (whole, ended) = if found.len() == 60 { (whole + 1, ended) } else { (whole, ended + 1) };
            if failures == 0 {
                break;
            }
        }
    }
    assert!(whole > 0 && ended > 20, "{whole} whole, {ended} ended by an error");
}

/// No scenario calls it again: SQLite is initialized once for a process.
fn an_initialization_that_fails_is_tried_again() {
    listen();
    let function = Function::all().find(|function| function.name() == Some("sqlite3_initialize")).unwrap();
    function.arm(0);
    let result = Connection::open_in_memory();
    assert_eq!(disarm(), 1);
    assert!(result.as_ref().is_err_and(is_of_fault), "{result:?}");
    assert_eq!(open_handles().total(), 0);
    // The control: without a fault, the same call succeeds, and the next asks no more.
    function.arm(u64::MAX);
    let before = function.calls();
    for _ in 0..2 {
        Connection::open_in_memory().unwrap().close().unwrap();
    }
    disarm();
    assert_eq!(function.calls() - before, 1);
    println!("called: sqlite3_initialize");
}

/// A file of the parent's that is attached in a child is detached at once. Where that fails, the child's connection ends.
fn what_a_child_cannot_detach_it_does_not_use() {
    listen();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.db");
    let _parents = Connection::open(&path).unwrap();
    let function = Function::all().find(|function| function.name() == Some("sqlite3_exec")).unwrap();
    let is_forked = |error: &Error| matches!(error.kind(), ErrorKind::Forked);
    let after_attaching = |n: u64, failures: u64, is_usable: bool| {
        in_child(|| {
            let own = Connection::open_in_memory().unwrap();
            function.arm(n);
            let attached = own.attach(&path, "parents").map(drop);
            assert!(attached.as_ref().is_err_and(is_forked), "{attached:?}");
            assert_eq!(disarm(), failures);
            let answer = own.query_one::<i64>("SELECT 7", ());
            answer.as_ref().is_ok_and(|&answer| answer == 7) == is_usable
                && answer.is_err_and(|error| is_forked(&error)) != is_usable
        })
    };
    assert!(after_attaching(0, 1, false));
    // The control: without a fault, the connection works on.
    assert!(after_attaching(u64::MAX, 0, true));
    println!("called: sqlite3_exec");
}
