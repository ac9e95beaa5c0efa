//! Each allocation of SQLite's fails, on any thread, for tests of the crates beside the driver. Those of the driver have
//! `tests/alone/out_of_memory`.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use finalite::memory::AllocationFault;
use finalite::{ErrorKind, LeakCheck, ProcessSnapshot};

/// Something a program does. It opens what it needs, checks what it gets, and closes.
pub struct Scenario<'a, E> {
    pub name: &'static str,
    pub run: &'a dyn Fn() -> Result<(), E>,
    /// Compares what is stored afterwards, when nothing fails any more, and undoes it. Gets whether `run` succeeded.
    pub after: &'a dyn Fn(bool) -> Result<(), String>,
}

/// Nothing is stored.
pub fn nothing_stored(_: bool) -> Result<(), String> {
    Ok(())
}

/// What a sweep came to.
#[derive(Debug)]
pub struct Points {
    /// Runs in which an allocation failed.
    pub failed: u64,
    /// Those of them that came to a good end all the same: SQLite can do without some allocations.
    pub survived: u64,
}

/// Whether an error of the driver says that memory ran out.
pub fn is_no_memory(error: &finalite::Error) -> bool {
    matches!(error.kind(), ErrorKind::NoMemory { .. })
}

/// Sweeps each scenario, with single allocations that fail and with all that follow. Panics with what was found, and
/// returns the number of runs in which an allocation failed.
pub fn sweep_all<E: Debug>(scenarios: &[Scenario<'_, E>], is_told: impl Fn(&E) -> bool) -> u64 {
    let (mut failed, mut findings) = (0, Vec::new());
    for scenario in scenarios {
        for sticky in [false, true] {
            match sweep(scenario, sticky, &is_told) {
                Ok(points) => {
                    println!("{}: {points:?}", scenario.name);
                    failed += points.failed;
                }
                Err(finding) => findings.push(finding),
            }
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n\n"));
    failed
}

/// Runs the scenario with one allocation after the other failing, alone or with all that follow it, until none is left that
/// could: each with `FINALITE_LONG_RUN`, otherwise every third, others alone than with all that follow. The error is the
/// first thing that is wrong: a panic, an error of which `is_told` says that it is another one, what `after` finds, or a
/// handle, a block, a descriptor or a thread that is left.
pub fn sweep<E: Debug>(
    scenario: &Scenario<'_, E>,
    sticky: bool,
    is_told: impl Fn(&E) -> bool,
) -> Result<Points, String> {
    let at = |point: Option<u64>, problem: String| {
        let point = point.map_or_else(|| "without a fault".to_owned(), |n| format!("point {n}"));
        format!("{}, sticky {sticky}, {point}: {problem}", scenario.name)
    };
    // What the process keeps for good, and what all attempts are compared with.
    for _ in 0..2 {
        (scenario.run)().map_err(|error| at(None, format!("{error:?}")))?;
        (scenario.after)(true).map_err(|problem| at(None, problem))?;
    }
    let mut points = Points { failed: 0, survived: 0 };
    let step = if std::env::var_os("FINALITE_LONG_RUN").is_some() { 1 } else { 3 };
    for n in (u64::from(sticky)..).step_by(step) {
        let before = ProcessSnapshot::now();
        let check = LeakCheck::new();
        let fault = AllocationFault::after(n).sticky(sticky).all_threads(true).arm();
        let result = catch_unwind(AssertUnwindSafe(scenario.run));
        let failures = fault.disarm();
        let problem = match &result {
            Ok(Ok(())) => None,
            Ok(Err(error)) if failures > 0 && is_told(error) => None,
            Ok(Err(error)) => Some(format!("{failures} faults are told as {error:?}")),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                Some(format!("panic: {}", text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?")))
            }
        };
        let succeeded = matches!(result, Ok(Ok(())));
        // An error owns nothing of SQLite's, or is a leak.
        drop(result);
        // Waits until the system has taken joined threads off its list.
        let report = check.finish();
        let now = ProcessSnapshot::now();
        let problem = match problem {
            Some(problem) => Err(problem),
            None if !report.is_clean() => Err(format!("left something: {report}")),
            None if now != before => Err(format!("left something: {before:#?}\n{now:#?}")),
            None => (scenario.after)(succeeded),
        };
        problem.map_err(|problem| at(Some(n), problem))?;
        if failures == 0 {
            return Ok(points);
        }
        points.failed += 1;
        points.survived += u64::from(succeeded);
    }
    Ok(points)
}
