//! finalite and rusqlite in one process: one allocator counts for both, from the first byte on, whoever comes first.
//!
//! What is looked at happens once in a process, so each look is a child process: this file's own program, told by an
//! environment variable what to do. `CHILDREN` sets how many there are (8,000 unless set).

use std::process::{Command, ExitStatus, Stdio, exit};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, hint, thread};

use finalite::memory::{self, Mode};
use finalite::{Connection, LeakCheck, handles};

const ROLE: &str = "BESIDE_RUSQLITE";

/// What a child found. Anything else, a signal among it, is a crash.
mod found {
    pub(super) const GOOD: i32 = 40;
    pub(super) const NOT_COUNTING: i32 = 41;
    pub(super) const FOREIGN_BLOCKS: i32 = 42;
    pub(super) const NOT_ALL_FREED: i32 = 43;
}

/// Runs children of a role, each with a number of its own, as many at a time as there are processors and one more.
fn children(role: &str, count: u32, set_up: impl Fn(&mut Command) + Sync) -> Vec<ExitStatus> {
    let program = env::current_exe().unwrap();
    let next = AtomicU32::new(0);
    let runner = || {
        let mut ends = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return ends;
            }
            let mut child = Command::new(&program);
            child.args(["--exact", "child", "--test-threads=1"]).env(ROLE, format!("{role} {number}"));
            child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            set_up(&mut child);
            ends.push(child.status().unwrap());
        }
    };
    thread::scope(|scope| {
        let parallel = thread::available_parallelism().map_or(2, |processors| processors.get() + 1);
        let runners: Vec<_> = (0..parallel).map(|_| scope.spawn(runner)).collect();
        runners.into_iter().flat_map(|runner| runner.join().unwrap()).collect()
    })
}

fn count(default: u32) -> u32 {
    env::var("CHILDREN").map_or(default, |count| count.parse().unwrap())
}

/// What a child does. Without a role it is a test of a process that nobody has configured.
#[test]
fn child() {
    let Ok(role) = env::var(ROLE) else {
        drop(Connection::open_in_memory().unwrap());
        assert_eq!(memory::mode(), Mode::Counting);
        return;
    };
    let (role, number) = role.rsplit_once(' ').unwrap();
    let number = number.parse().unwrap();
    let code = match role {
        "together" => open_together(number, |_| ()),
        "first of all" => {
            // SAFETY: there is no other thread that uses SQLite.
            unsafe { memory::install() }.unwrap();
            open_together(number, |_| ())
        }
        "late" => open_together(number, |spin| {
            wait(spin);
            // SAFETY: the other thread uses SQLite meanwhile, which is forbidden: this child shows what comes of it.
            drop(unsafe { memory::install() });
        }),
        "counted" => {
            what_rusqlite_holds_is_counted();
            found::GOOD
        }
        _ => panic!("{role}"),
    };
    // At once, without what the test harness does at its end.
    exit(code);
}

fn wait(spin: u32) {
    (0..spin).for_each(|_| hint::spin_loop());
}

/// Opens with both at the same moment, give or take a little that differs from child to child.
fn open_together(number: u32, before_opening: impl Fn(u32) + Sync) -> i32 {
    // A multiplicative hash: neighbours differ.
    let random = number.wrapping_mul(0x9e37_79b9);
    let (ours, theirs) = (random >> 20 & 0x7ff, random >> 9 & 0x7ff);
    let barrier = Barrier::new(2);
    let is_foreign = thread::scope(|scope| {
        let rusqlites = scope.spawn(|| {
            barrier.wait();
            wait(theirs);
            let conn = rusqlite::Connection::open_in_memory().unwrap();
            conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(5000));").unwrap();
            barrier.wait();
            drop(conn);
        });
        barrier.wait();
        before_opening(ours);
        wait(ours);
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(5000));").unwrap();
        barrier.wait();
        conn.close().unwrap();
        let is_foreign = memory::stats().foreign_blocks_total > 0;
        // The scope waits for what a thread does, and not for its end, at which its part of the sums goes to the
        // process.
        rusqlites.join().unwrap();
        is_foreign
    });
    let stats = memory::stats();
    if stats.mode != Mode::Counting {
        found::NOT_COUNTING
    } else if is_foreign || stats.foreign_blocks_total > 0 {
        found::FOREIGN_BLOCKS
    } else if (stats.bytes, stats.blocks) != (0, 0) || stats.allocations_total == 0 {
        found::NOT_ALL_FREED
    } else {
        found::GOOD
    }
}

/// How many ended with each code; a crash has none.
fn tally(ends: &[ExitStatus]) -> [usize; 5] {
    let codes = [found::GOOD, found::NOT_COUNTING, found::FOREIGN_BLOCKS, found::NOT_ALL_FREED];
    let known = codes.map(|code| ends.iter().filter(|end| end.code() == Some(code)).count());
    let [good, not_counting, foreign, not_freed] = known;
    [good, not_counting, foreign, not_freed, ends.len() - known.iter().sum::<usize>()]
}

#[test]
fn whoever_opens_first_all_is_counted() {
    let count = count(8000);
    let ends = children("together", count, |child| {
        child.env_remove("FINALITE_ALLOCATOR");
    });
    let [good, not_counting, foreign, not_freed, crashed] = tally(&ends);
    println!(
        "{count} children: {good} good, {not_counting} not counting, {foreign} with foreign blocks, \
         {not_freed} with memory left, {crashed} crashed"
    );
    assert_eq!((ends.len(), good), (count as usize, count as usize));
}

/// The control: an allocator that is installed by the first open, as it would have to be without a constructor.
#[test]
fn installed_late_it_is_too_late_in_some() {
    let count = count(400).clamp(100, 400);
    let ends = children("late", count, |child| {
        child.env("FINALITE_ALLOCATOR", "stock");
    });
    let [good, not_counting, foreign, not_freed, crashed] = tally(&ends);
    println!(
        "{count} children, installed late: {good} good, {not_counting} not counting, {foreign} with foreign blocks, \
         {not_freed} with memory left, {crashed} crashed"
    );
    assert_eq!(ends.len(), count as usize);
    assert!(not_counting + foreign + not_freed + crashed > 0, "the check sees nothing");

    // It is the moment that is wrong: before the other thread there is none of that.
    let ends = children("first of all", count / 4, |child| {
        child.env("FINALITE_ALLOCATOR", "stock");
    });
    assert_eq!(tally(&ends), [ends.len(), 0, 0, 0, 0]);
}

#[test]
fn rusqlites_memory_is_counted() {
    let ends = children("counted", 1, |child| {
        child.env_remove("FINALITE_ALLOCATOR").stderr(Stdio::inherit());
    });
    assert_eq!(ends[0].code(), Some(found::GOOD));
}

/// Panics with what is wrong.
fn what_rusqlite_holds_is_counted() {
    handles::set_level(handles::TrackingLevel::Records);
    let ours = Connection::open_in_memory().unwrap();
    let before = memory::stats();
    assert_eq!(before.unattributed_bytes + ours.memory().bytes, before.bytes);
    let own_before = ours.memory();

    let check = LeakCheck::new();
    let theirs = rusqlite::Connection::open_in_memory().unwrap();
    theirs.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(1000000));").unwrap();
    let during = memory::stats();
    let held = during.unattributed_bytes - before.unattributed_bytes;
    assert_eq!(held, during.bytes - before.bytes, "all of it, and none of ours");
    assert!(held >= page_cache_bytes(&theirs) && page_cache_bytes(&theirs) > 1_000_000, "{held}");
    assert_eq!(during.unattributed_blocks - before.unattributed_blocks, during.blocks - before.blocks);
    assert_eq!(ours.memory().bytes, own_before.bytes);
    assert_eq!(handles::counts().connections, 1, "handles are finalite's");
    let report = check.finish();
    let (bytes, blocks) = (during.bytes, during.blocks);
    for line in [
        format!("native bytes: {} before, {bytes} after", before.bytes),
        format!("native blocks: {} before, {blocks} after", before.blocks),
    ] {
        assert!(report.to_string().contains(&line), "«{line}» is not in\n{report}");
    }
    assert!(report.open().is_empty() && !report.is_clean(), "{report}");

    // From within a call on a connection of ours, what it does is still its own.
    ours.query_row("SELECT 1", (), |_| {
        theirs.execute_batch("INSERT INTO t VALUES (zeroblob(1000000));").unwrap();
        Ok(())
    })
    .unwrap();
    assert!(memory::stats().unattributed_bytes > during.unattributed_bytes + 1_000_000);
    assert!(ours.memory().bytes < own_before.bytes + 100_000);

    let check = LeakCheck::for_connection(&ours);
    drop(ours);
    assert!(check.finish().is_clean(), "what rusqlite holds is no leak of ours");
    drop(theirs);
    let after = memory::stats();
    assert_eq!((after.bytes, after.blocks, after.foreign_blocks_total), (0, 0, 0));
    assert_eq!((after.unattributed_bytes, after.unattributed_blocks, after.orphaned_bytes), (0, 0, 0));
    drop(LeakCheck::new());
}

/// SQLite's own figure.
fn page_cache_bytes(conn: &rusqlite::Connection) -> u64 {
    use finalite::ffi;
    let (mut now, mut highest) = (0, 0);
    // SAFETY: the connection is open, both pointers are to integers, and nothing is reset.
    unsafe {
        let handle = conn.handle();
        ffi::sqlite3_db_status(handle, ffi::SQLITE_DBSTATUS_CACHE_USED, &raw mut now, &raw mut highest, 0)
    };
    now.try_into().unwrap()
}
