//! Every allocation of SQLite's fails, once, and with all that follow it: the error says so, nothing is left, nothing
//! panics, the data is what it was, and the connection works on.

mod callbacks;
#[cfg(c_calls_wrapped)]
pub mod calls;
#[cfg(any(feature = "session", feature = "snapshot"))]
mod changes;
pub mod controls;
mod files;
mod moving;
mod scenarios;
mod search;
mod services;
mod virtual_tables;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use finalite::handles::HandleCounts;
#[cfg(not(c_calls_wrapped))]
use finalite::handles::counts as open_handles;
use finalite::memory::{self, AllocationFault};
use finalite::{Connection, Error, ErrorKind, OpenOptions, Result};

#[cfg(c_calls_wrapped)]
use calls::open_handles;

use crate::common::witness::Witness;
use crate::runner::cases;

/// Something a program does. It checks what it gets, and returns the error that it gets.
struct Scenario {
    name: &'static str,
    run: Run,
}

#[derive(Clone, Copy)]
enum Run {
    /// Opens what it needs, and closes it.
    Alone(fn(&World) -> Result<()>),
    /// On a connection on which another statement is alive.
    Shared(Place, fn(&Connection) -> Result<()>),
    /// On a connection that it has to itself.
    Exclusive(Place, fn(&mut Connection) -> Result<()>),
    /// Stores `ROW` in one transaction, and nothing if it fails.
    Writing(Place, fn(&mut Connection) -> Result<()>),
    /// As `Writing`, but it is Drop that commits, which has no result: the row is stored or it is not.
    WritingInDrop(Place, fn(&mut Connection) -> Result<()>),
}

#[derive(Clone, Copy)]
enum Place {
    /// UTF-16, in memory: text is converted on its way in and out.
    Memory,
    /// UTF-8, in a file.
    File,
}

/// What a writing scenario adds.
const ROW: (i64, &str, i64) = (7, "sieben", 3);

/// How the allocations fail.
#[derive(Clone, Copy, Debug)]
struct Way {
    sticky: bool,
    lookaside: bool,
    /// Counted in all threads; the scenario then runs on another one.
    all_threads: bool,
    of: Of,
}

/// What fails.
#[derive(Clone, Copy, Debug)]
enum Of {
    Allocations,
    /// Calls of a function of C, once and on any thread.
    #[cfg(c_calls_wrapped)]
    Calls(calls::Function),
}

impl Way {
    /// Lets fail what comes after `n` others. The result ends that, and returns how often it has failed.
    fn arm(self, n: u64) -> Box<dyn FnOnce() -> u64> {
        match self.of {
            Of::Allocations => {
                let fault = AllocationFault::after(n).sticky(self.sticky).all_threads(self.all_threads).arm();
                Box::new(move || fault.disarm())
            }
            #[cfg(c_calls_wrapped)]
            Of::Calls(function) => {
                function.arm(n);
                Box::new(calls::disarm)
            }
        }
    }

    /// Whether this error tells of the failure.
    fn is_told_by(self, error: &Error) -> bool {
        match self.of {
            Of::Allocations => matches!(error.kind(), ErrorKind::NoMemory { .. }),
            #[cfg(c_calls_wrapped)]
            Of::Calls(_) => calls::is_of_fault(error),
        }
    }

    /// The place of a failure that came to a good end, and that should have been told. SQLite can do without some
    /// allocations.
    fn untold(self) -> Option<String> {
        match self.of {
            Of::Allocations => None,
            #[cfg(c_calls_wrapped)]
            Of::Calls(_) => calls::untold(),
        }
    }
}

/// What the scenarios find.
struct World {
    dir: tempfile::TempDir,
    way: Way,
}

impl World {
    fn new(way: Way) -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap(), way };
        for name in ["data.db", "wal.db"] {
            fill(&OpenOptions::new().pragma("synchronous", "off").open(world.path(name)).unwrap());
        }
        Connection::open(world.path("wal.db")).unwrap().set_pragma("journal_mode", "wal").unwrap();
        std::fs::write(world.path("text.db"), "x".repeat(4096)).unwrap();
        world.leave("log.db", "wal", "BEGIN; INSERT INTO t VALUES (7, 'sieben', NULL); COMMIT");
        world.leave("hot.db", "delete", "PRAGMA cache_size = 2; BEGIN; UPDATE t SET c = zeroblob(9000); DELETE FROM t");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A database as it is found when whoever ran this script was killed, and the file beside it.
    fn leave(&self, name: &str, journal_mode: &str, script: &str) {
        let (original, beside) = (self.path("original.db"), if journal_mode == "wal" { "-wal" } else { "-journal" });
        let conn = OpenOptions::new().pragma("journal_mode", journal_mode).open(&original).unwrap();
        fill(&conn);
        conn.execute_batch(script).unwrap();
        for suffix in ["", beside] {
            let from = self.path(&format!("original.db{suffix}"));
            std::fs::copy(from, self.path(&format!("{name}{suffix}"))).unwrap();
        }
        drop(conn);
        std::fs::remove_file(original).unwrap();
    }

    /// What is stored. A log that could not be merged at close for lack of memory belongs to it.
    fn files(&self) -> [Vec<u8>; 2] {
        if self.path("wal.db-wal").exists() {
            data_in(&self.path("wal.db"));
        }
        ["data.db", "wal.db"].map(|name| std::fs::read(self.path(name)).unwrap())
    }

    /// These options, with lookaside or without.
    fn options(&self, options: OpenOptions) -> OpenOptions {
        if self.way.lookaside { options } else { options.lookaside(0, 0) }
    }

    fn connection(&self, place: Place) -> Connection {
        match place {
            Place::Memory => utf16(self.options(OpenOptions::new())),
            Place::File => {
                let options = self.options(OpenOptions::new().pragma("synchronous", "off"));
                options.open(self.path("data.db")).unwrap()
            }
        }
    }
}

/// A database in memory whose text is UTF-16.
fn utf16(options: OpenOptions) -> Connection {
    let conn = options.pragma("encoding", "UTF-16").open_in_memory().unwrap();
    fill(&conn);
    conn
}

fn fill(conn: &Connection) {
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c BLOB);
         CREATE INDEX t_b ON t(b);
         INSERT INTO t VALUES (1, 'grüße und mehr', x'0102'), (2, 'grüße', zeroblob(3000)), (3, 'drei', NULL);",
    )
    .unwrap();
}

type Data = Vec<(i64, String, Option<i64>)>;

fn data(conn: &Connection) -> Result<Data> {
    conn.query_all("SELECT a, b, length(c) FROM t ORDER BY a", ())
}

fn data_in(path: &Path) -> Data {
    let conn = Connection::open(path).unwrap();
    assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
    data(&conn).unwrap()
}

/// What a sweep came to.
#[derive(Default)]
struct Outcome {
    /// Runs in which an allocation failed.
    points: u64,
    /// Those of them that came to a good end all the same: SQLite can do without some allocations.
    survived: u64,
    /// Places of failures that nothing has told of.
    untold: BTreeSet<String>,
    /// The first other thing that was wrong, if any; the sweep ends there.
    finding: Option<String>,
}

/// Runs the scenario with one allocation after the other failing, until none is left that could.
fn sweep(scenario: &Scenario, way: Way) -> Outcome {
    let before = left(way);
    let world = World::new(way);
    let mut outcome = match scenario.run {
        Run::Alone(run) => sweep_alone(&world, run),
        Run::Shared(place, run) => sweep_shared(&world, place, run),
        Run::Exclusive(place, run) | Run::Writing(place, run) | Run::WritingInDrop(place, run) => {
            sweep_exclusive(&world, place, run, scenario.run)
        }
    };
    let after = left(way);
    if outcome.finding.is_none() && before != after {
        outcome.finding = Some(format!("after the last close is left: {before:#?}\n{after:#?}"));
    }
    outcome.finding = outcome.finding.map(|finding| format!("{}, {way:?}, {finding}", scenario.name));
    outcome
}

/// What may not be there afterwards. A joined thread may still be on the kernel's list.
fn left(way: Way) -> Witness {
    let witness = Witness::now();
    Witness { threads: if way.all_threads { 0 } else { witness.threads }, handles: open_handles(), ..witness }
}

/// One run with one fault.
struct Attempt {
    result: std::thread::Result<Result<()>>,
    failures: u64,
    untold: Option<String>,
    way: Way,
}

impl Attempt {
    fn new(way: Way, n: u64, run: impl FnOnce() -> Result<()>) -> Self {
        let disarm = way.arm(n);
        let result = catch_unwind(AssertUnwindSafe(run));
        let failures = disarm();
        let untold = if failures > 0 && matches!(result, Ok(Ok(()))) { way.untold() } else { None };
        Self { result, failures, untold, way }
    }

    /// Runs it on another thread where the way says that all count.
    fn elsewhere(way: Way, n: u64, run: impl FnOnce() -> Result<()> + Send) -> Self {
        if way.all_threads {
            Self::new(way, n, || std::thread::scope(|scope| scope.spawn(run).join().unwrap()))
        } else {
            Self::new(way, n, run)
        }
    }

    /// A panic is wrong, and so is a fault that is told as something else.
    fn check(&self) -> std::result::Result<(), String> {
        match &self.result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if self.failures > 0 && self.way.is_told_by(error) => Ok(()),
            Ok(Err(error)) => Err(format!("{} faults are told as {error:?}", self.failures)),
            Err(panic) => {
                let words = panic.downcast_ref::<String>().map(String::as_str);
                let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
                Err(format!("panic: {}", words.unwrap_or("?")))
            }
        }
    }

    /// Whether what failed may have happened: SQLite undoes nothing where its function did its work, and the wrapper
    /// says that it failed.
    fn may_have_happened(&self) -> bool {
        !matches!(self.way.of, Of::Allocations) && self.failures > 0
    }

    fn succeeded(&self) -> bool {
        matches!(self.result, Ok(Ok(())))
    }
}

/// The same without a fault: what each attempt is compared with, and the first that allocates what is kept.
fn calm(run: impl FnOnce() -> Result<()>) -> std::result::Result<(), Outcome> {
    let way = Way { sticky: false, lookaside: true, all_threads: false, of: Of::Allocations };
    Attempt::new(way, u64::MAX, run)
        .check()
        .map_err(|problem| Outcome { finding: Some(format!("without a fault: {problem}")), ..Outcome::default() })
}

/// Goes through the points. `point` makes the attempt and checks what is after it.
fn each_point(mut point: impl FnMut(u64) -> (Attempt, std::result::Result<(), String>)) -> Outcome {
    let mut outcome = Outcome::default();
    for n in 0.. {
        let (attempt, after) = point(n);
        if let Err(finding) = attempt.check().and(after) {
            outcome.finding = Some(format!("point {n}: {finding}"));
            return outcome;
        }
        if attempt.failures == 0 {
            return outcome;
        }
        outcome.points += 1;
        outcome.survived += u64::from(attempt.succeeded());
        outcome.untold.extend(attempt.untold);
    }
    outcome
}

fn sweep_alone(world: &World, run: fn(&World) -> Result<()>) -> Outcome {
    if let Err(outcome) = calm(|| run(world)) {
        return outcome;
    }
    let stored = world.files();
    let before = left(world.way);
    assert_eq!((before.native_bytes, before.native_blocks), (0, 0), "nothing is open");
    each_point(|n| {
        let attempt = Attempt::elsewhere(world.way, n, || run(world));
        let after = left(world.way);
        let result = if after != before {
            Err(format!("left something: {before:#?}\n{after:#?}"))
        } else if world.files() != stored {
            Err("the files have changed".to_owned())
        } else {
            Ok(())
        };
        (attempt, result)
    })
}

/// What is compared after each point, once the connection is where it was: bytes and blocks, to the last of them.
type Rest = (HandleCounts, u64, u64);

fn at_rest(conn: &Connection) -> Rest {
    // The schema as it is when it was just read, of which SQLite keeps more or less otherwise.
    conn.execute_batch("PRAGMA writable_schema = reset").unwrap();
    data(conn).unwrap();
    // SQLite keeps the text of the last error.
    conn.prepare("no SQL").unwrap_err();
    conn.clear_statement_cache();
    conn.release_memory().unwrap();
    let memory = memory::stats();
    (open_handles(), memory.bytes, memory.blocks)
}

fn check_rest(conn: &Connection, expected: &Rest) -> std::result::Result<(), String> {
    let rest = at_rest(conn);
    if rest == *expected { Ok(()) } else { Err(format!("what is left is not {expected:?} but {rest:?}")) }
}

fn check_usable(conn: &Connection, expected: &[&Data]) -> std::result::Result<(), String> {
    match data(conn) {
        Ok(found) if expected.contains(&&found) => {}
        Ok(found) => return Err(format!("the data is {found:?}")),
        Err(error) => return Err(format!("the connection is not usable: {error:?}")),
    }
    if conn.is_autocommit() { Ok(()) } else { Err("a transaction is open".to_owned()) }
}

/// A statement that was prepared before is run right after: it would see the mark of an allocation that failed. So
/// would one that is prepared then.
fn sweep_shared(world: &World, place: Place, run: fn(&Connection) -> Result<()>) -> Outcome {
    let conn = world.connection(place);
    let stored = data(&conn).unwrap();
    if let Err(outcome) = calm(|| run(&conn)) {
        return outcome;
    }
    let rest = at_rest(&conn);
    let outcome = each_point(|n| {
        let mut other = conn.prepare("SELECT 7").unwrap();
        let attempt = Attempt::new(world.way, n, || run(&conn));
        let answer = if n % 2 == 0 { other.query_one::<i64>(()) } else { conn.query_one("SELECT 7", ()) };
        drop(other);
        let usable = match answer {
            Ok(7) => check_usable(&conn, &[&stored]),
            answer => Err(format!("another statement comes to {answer:?}")),
        };
        (attempt, usable.and_then(|()| check_rest(&conn, &rest)))
    });
    conn.close().unwrap();
    outcome
}

fn sweep_exclusive(world: &World, place: Place, run: fn(&mut Connection) -> Result<()>, end: Run) -> Outcome {
    let mut conn = world.connection(place);
    let stored = data(&conn).unwrap();
    let mut changed = stored.clone();
    if !matches!(end, Run::Exclusive(..)) {
        changed.push((ROW.0, ROW.1.to_owned(), Some(ROW.2)));
    }
    let restore = |conn: &Connection| conn.execute("DELETE FROM t WHERE a = ?", (ROW.0,)).unwrap();
    if let Err(outcome) = calm(|| run(&mut conn)) {
        return outcome;
    }
    assert_eq!(data(&conn).unwrap(), changed);
    restore(&conn);
    let rest = at_rest(&conn);
    let outcome = each_point(|n| {
        let attempt = Attempt::elsewhere(world.way, n, || run(&mut conn));
        if attempt.may_have_happened() && !attempt.succeeded() && !conn.is_autocommit() {
            // The transaction of a guard has ended before the statement.
            conn.execute_batch("ROLLBACK").ok();
        }
        let expected: &[&Data] = match end {
            _ if attempt.may_have_happened() => &[&stored, &changed],
            Run::WritingInDrop(..) if attempt.succeeded() => &[&stored, &changed],
            _ if attempt.succeeded() => &[&changed],
            _ => &[&stored],
        };
        let usable = match conn.query_one::<i64>("SELECT 7", ()) {
            Ok(7) => check_usable(&conn, expected),
            answer => Err(format!("the next statement comes to {answer:?}")),
        };
        let left = usable.and_then(|()| {
            restore(&conn);
            check_rest(&conn, &rest)
        });
        (attempt, left)
    });
    conn.close().unwrap();
    if matches!(place, Place::File) && outcome.finding.is_none() {
        assert_eq!(data_in(&world.path("data.db")), stored);
    }
    outcome
}

cases![
    when_one_fails_without_lookaside,
    when_all_fail_with_lookaside,
    when_one_fails_with_lookaside,
    when_all_fail_without_lookaside,
    when_they_fail_beside_files,
    when_they_fail_in_virtual_tables,
    when_they_fail_on_all_threads,
];

fn when_one_fails_without_lookaside() {
    statements(false, false, 7_500);
}

fn when_all_fail_with_lookaside() {
    statements(true, true, 4_700);
}

fn when_one_fails_with_lookaside() {
    statements(false, true, 4_700);
}

fn when_all_fail_without_lookaside() {
    statements(true, false, 7_500);
}

fn statements(sticky: bool, lookaside: bool, points_min: u64) {
    let way = Way { sticky, lookaside, all_threads: false, of: Of::Allocations };
    let parts = [
        scenarios::SCENARIOS,
        callbacks::SCENARIOS,
        #[cfg(any(feature = "session", feature = "snapshot"))]
        changes::SCENARIOS,
        moving::SCENARIOS,
        services::SCENARIOS,
        search::SCENARIOS,
    ];
    sweep_all(parts.into_iter().flatten().map(|scenario| (scenario, way)), points_min);
}

/// Those that copy files take longer, and are run in two ways.
fn when_they_fail_beside_files() {
    let ways = [(false, true), (true, false)].map(|(sticky, lookaside)| Way {
        sticky,
        lookaside,
        all_threads: false,
        of: Of::Allocations,
    });
    sweep_all(files::SCENARIOS.iter().flat_map(|scenario| ways.iter().map(move |&way| (scenario, way))), 28_000);
}

fn when_they_fail_in_virtual_tables() {
    let ways = [(false, false), (true, true), (false, true), (true, false)];
    let ways = ways.map(|(sticky, lookaside)| Way { sticky, lookaside, all_threads: false, of: Of::Allocations });
    let all = virtual_tables::SCENARIOS.iter();
    sweep_all(all.flat_map(|scenario| ways.iter().map(move |&way| (scenario, way))), 9_000);
}

fn when_they_fail_on_all_threads() {
    let ways = [(false, true), (true, false)].map(|(sticky, lookaside)| Way {
        sticky,
        lookaside,
        all_threads: true,
        of: Of::Allocations,
    });
    let some = scenarios::SCENARIOS.iter().chain(files::SCENARIOS).step_by(5);
    sweep_all(some.flat_map(|scenario| ways.iter().map(move |&way| (scenario, way))), 7_600);
}

/// Out of memory is an error and nothing else, at each of at least so many points.
fn sweep_all<'s>(sweeps: impl Iterator<Item = (&'s Scenario, Way)>, points_min: u64) {
    let mut points = 0;
    let mut survived = 0;
    let mut findings = Vec::new();
    for (scenario, way) in sweeps {
        let outcome = sweep(scenario, way);
        points += outcome.points;
        survived += outcome.survived;
        findings.extend(outcome.finding);
    }
    println!("{points} points, {} findings; in {survived} of them SQLite did without", findings.len());
    assert!(findings.is_empty(), "{}", findings.join("\n\n"));
    assert_eq!(memory::stats().foreign_blocks_total, 0, "something was freed twice");
    assert!(points >= points_min, "{points}");
}
