//! rusqlite and finalite beside each other, on one SQLite: random schemas, statements, parameters and values through
//! both. Rows, types, names, counts, rowids, result codes and places of errors are equal, or the difference is one of
//! those that `docs/from_rusqlite.md` lists.
//!
//! `DIFFERENTIAL_SECONDS` runs for longer than a few seconds, `DIFFERENTIAL_SEED` begins with another history.

#[path = "../../../../tests/common/random.rs"]
mod random;

mod differences;
mod drivers;
mod statements;

use std::collections::BTreeMap;
use std::env;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use differences::Difference;
use drivers::{Driver, Failure, Given, Operation, Ours, Outcome, State, Theirs, Value};
use libsqlite3_sys as ffi;
use random::Random;

/// Operations of one history.
const OPERATIONS: usize = 60;

/// What histories have shown.
#[derive(Default)]
struct Seen {
    operations: usize,
    rows: usize,
    failures: usize,
    differences: BTreeMap<Difference, usize>,
}

/// Runs one history on new databases. Returns the first operation on which the drivers differ without a reason.
fn history(seed: u64, ours: &mut dyn Driver, theirs: &mut dyn Driver, seen: &mut Seen) -> Result<(), String> {
    let mut random = Random::new(seed, 1);
    let script = statements::schema(&mut random);
    let mut log = vec![script.clone()];
    compare(&Operation::Batch { script }, ours, theirs, seen)?;
    for _ in 0..OPERATIONS {
        let operation = statements::operation(&mut random);
        log.push(format!("{operation:?}"));
        seen.operations += 1;
        let difference =
            compare(&operation, ours, theirs, seen).map_err(|found| format!("{}\n{found}", log.join("\n")))?;
        if difference.is_some_and(Difference::parts_the_databases) {
            return Ok(());
        }
    }
    let (mine, others) = (contents(ours), contents(theirs));
    if mine == others { Ok(()) } else { Err(format!("{}\ncontents {mine:?}\nand {others:?}", log.join("\n"))) }
}

fn test_control(operation: i32) {
    // SAFETY: these two operations have no further arguments; they copy the state of the process's generator, and only
    // one thread of this process uses SQLite (`ONE_AT_A_TIME`).
    unsafe { ffi::sqlite3_test_control(operation) };
}

/// Held by each test: SQLite has one generator of random numbers for a process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn compare(
    operation: &Operation,
    ours: &mut dyn Driver,
    theirs: &mut dyn Driver,
    seen: &mut Seen,
) -> Result<Option<Difference>, String> {
    let before = theirs.state();
    // SQLite's own random numbers are the same for both: rowids after the largest one, `random()`.
    test_control(ffi::SQLITE_TESTCTRL_PRNG_SAVE);
    let mut mine = ours.run(operation);
    test_control(ffi::SQLITE_TESTCTRL_PRNG_RESTORE);
    let others = theirs.run(operation);
    mine.forget_places_that_lack_in(&others, matches!(operation, Operation::Batch { .. }));
    match &mine {
        Outcome::Rows { rows, .. } => seen.rows += rows.len(),
        Outcome::Failed(_) => seen.failures += 1,
        _ => (),
    }
    if mine == others && ours.state() == theirs.state() {
        return Ok(None);
    }
    let known = differences::known(operation, &mine, &others, &before, &theirs.state());
    if let Some(difference) = known {
        *seen.differences.entry(difference).or_default() += 1;
        return Ok(known);
    }
    let states = (ours.state(), theirs.state());
    Err(format!("{operation:#?}\nfinalite: {mine:?}\nrusqlite: {others:?}\nstates {states:?}"))
}

/// All rows of all tables.
fn contents(driver: &mut dyn Driver) -> Vec<Outcome> {
    let mut query = |sql: &str| {
        let given = Given::ByPosition(Vec::new());
        driver.run(&Operation::Query { sql: sql.to_owned(), given, most: usize::MAX })
    };
    let schema = query("SELECT name, sql FROM sqlite_schema");
    let tables = ["t", "u", "v", "\"w x\"", "made"].map(|table| query(&format!("SELECT * FROM {table}")));
    std::iter::once(schema).chain(tables).collect()
}

fn databases() -> (Ours, Theirs) {
    let ours = Ours(finalite::Connection::open_in_memory().unwrap());
    (ours, Theirs(rusqlite::Connection::open_in_memory().unwrap()))
}

#[test]
fn the_drivers_differ_only_as_listed() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let time = Duration::from_secs(number("DIFFERENTIAL_SECONDS").unwrap_or(10));
    let first = number("DIFFERENTIAL_SEED").unwrap_or(0);
    let (mut seen, began) = (Seen::default(), Instant::now());
    let mut seed = first;
    // The first histories are the same on any machine; those see each difference.
    while seed < first + 400 || began.elapsed() < time {
        let (mut ours, mut theirs) = databases();
        if let Err(found) = history(seed, &mut ours, &mut theirs, &mut seen) {
            panic!("seed {seed}:\n{found}");
        }
        ours.0.close().unwrap();
        seed += 1;
    }
    println!(
        "{} histories, {} operations, {} rows, {} failures; differences: {:?}",
        seed - first,
        seen.operations,
        seen.rows,
        seen.failures,
        seen.differences
    );
    for difference in differences::COMMON {
        assert!(first != 0 || seen.differences.contains_key(&difference), "{difference:?} is listed, and never seen");
    }
}

/// A driver with one fault.
struct Faulty {
    driver: Theirs,
    fault: fn(&mut Outcome),
}

impl Driver for Faulty {
    fn run(&mut self, operation: &Operation) -> Outcome {
        let mut outcome = self.driver.run(operation);
        (self.fault)(&mut outcome);
        outcome
    }

    fn state(&self) -> State {
        self.driver.state()
    }
}

#[test]
fn a_fault_of_one_driver_is_found() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let faults: [fn(&mut Outcome); 5] = [
        |outcome| {
            if let Outcome::Rows { rows, .. } = outcome {
                rows.pop();
            }
        },
        |outcome| {
            if let Outcome::Rows { rows, .. } = outcome
                && let Some(value) = rows.iter_mut().flatten().find(|value| matches!(value, Value::Integer(7)))
            {
                *value = Value::Real(7.0);
            }
        },
        |outcome| {
            if let Outcome::Count(count @ 1..) = outcome {
                *count += 1;
            }
        },
        |outcome| {
            if let Outcome::Failed(Failure::Sqlite { at: Some((_, column)), .. }) = outcome {
                *column += 1;
            }
        },
        |outcome| {
            if let Outcome::Failed(Failure::Sqlite { code, .. }) = outcome {
                *code &= 0xff;
            }
        },
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let is_found = (0..2_000).any(|seed| {
            let (mut ours, theirs) = databases();
            history(seed, &mut ours, &mut Faulty { driver: theirs, fault }, &mut Seen::default()).is_err()
        });
        assert!(is_found, "fault {number}");
    }
}
