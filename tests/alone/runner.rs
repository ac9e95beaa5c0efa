//! The cases, each run in a process of its own.
//!
//! The program takes the arguments of a test program (filters, `--exact`, `--skip`, `--list`, `--nocapture`,
//! `--test-threads`) and runs itself once for each case, with the case's name in [`CASE`]. In that process the case has
//! the main thread, and no other thread is there. It passes if the process succeeds.

use std::collections::VecDeque;
use std::env;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// The name of the case that a process runs.
const CASE: &str = "FINALITE_CASE";
/// The allocator of a process: set before it begins, as it is asked for before `main`.
const ALLOCATOR: &str = "FINALITE_ALLOCATOR";

/// A function that passes if it returns, in a process of its own.
pub struct Case {
    /// `alone::module`.
    module: &'static str,
    function: &'static str,
    run: fn(),
    allocator: Option<&'static str>,
}

impl Case {
    pub const fn new(module: &'static str, function: &'static str, run: fn()) -> Self {
        Self { module, function, run, allocator: None }
    }

    /// The same with this in `FINALITE_ALLOCATOR`.
    pub const fn with_allocator(self, allocator: &'static str) -> Self {
        Self { allocator: Some(allocator), ..self }
    }

    fn name(&self) -> String {
        let (_, module) = self.module.split_once("::").expect("a module of this program");
        format!("{module}::{}", self.function)
    }
}

/// A case of the module, by the name of its function. With `within`, that is called with the function instead.
macro_rules! case {
    ($function:ident) => {
        $crate::runner::Case::new(module_path!(), stringify!($function), $function)
    };
    ($function:ident within $within:path) => {
        $crate::runner::Case::new(module_path!(), stringify!($function), || $within($function))
    };
}
pub(crate) use case;

/// The cases of a module, as the constant `CASES`. Those that `main` does not know do not compile: they are dead code.
macro_rules! cases {
    (within $within:path: $($(#[$condition:meta])* $function:ident),* $(,)?) => {
        pub const CASES: &[$crate::runner::Case] =
            &[$($(#[$condition])* $crate::runner::case!($function within $within)),*];
    };
    ($($(#[$condition:meta])* $function:ident),* $(,)?) => {
        pub const CASES: &[$crate::runner::Case] = &[$($(#[$condition])* $crate::runner::case!($function)),*];
    };
}
pub(crate) use cases;

/// The command that runs a case again, in another process.
pub fn process_of(case: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(CASE, case);
    command
}

/// Runs the one case that this process is for, or all that the arguments ask for.
pub fn main(cases: &[&[Case]]) -> ExitCode {
    let cases: Vec<&Case> = cases.iter().copied().flatten().collect();
    if let Ok(name) = env::var(CASE) {
        let case = cases.iter().find(|case| case.name() == name);
        (case.unwrap_or_else(|| panic!("no case is named `{name}`")).run)();
        return ExitCode::SUCCESS;
    }
    let asked = match Arguments::parse(env::args().skip(1)) {
        Ok(asked) => asked,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let all = cases.len();
    let chosen: Vec<&Case> = cases.into_iter().filter(|case| asked.chooses(&case.name())).collect();
    if asked.lists {
        chosen.iter().for_each(|case| println!("{}: test", case.name()));
        if !asked.is_terse {
            println!("\n{} tests, 0 benchmarks", chosen.len());
        }
        return ExitCode::SUCCESS;
    }
    run_all(&chosen, &asked, all)
}

fn run_all(cases: &[&Case], asked: &Arguments, all: usize) -> ExitCode {
    println!("\nrunning {} tests", cases.len());
    let start = Instant::now();
    let queue = Mutex::new(cases.iter().copied().collect::<VecDeque<_>>());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..asked.threads.get() {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some(case) = next else { return };
                    let outcome = run(case, asked.shows_output);
                    let mut failed = failed.lock().unwrap();
                    println!("test {} ... {}", case.name(), if outcome.is_ok() { "ok" } else { "FAILED" });
                    failed.extend(outcome.err().map(|output| (case.name(), output)));
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    for (name, output) in &failed {
        println!("\n---- {name} ----\n{output}");
    }
    println!(
        "\ntest result: {}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        cases.len() - failed.len(),
        failed.len(),
        all - cases.len(),
        start.elapsed().as_secs_f64()
    );
    // As the test harness ends.
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

/// Runs a case in its process. Fails with what the process wrote.
fn run(case: &Case, shows_output: bool) -> Result<(), String> {
    let mut command = process_of(&case.name());
    command.env_remove(ALLOCATOR).envs(case.allocator.map(|allocator| (ALLOCATOR, allocator))).stdin(Stdio::null());
    let failure = |status: ExitStatus| format!("the process ended with {status}");
    if shows_output {
        let status = command.status().map_err(|error| error.to_string())?;
        return if status.success() { Ok(()) } else { Err(failure(status)) };
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let written = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if output.status.success() { Ok(()) } else { Err(format!("{written}{}", failure(output.status))) }
}

/// The arguments of a test program.
#[derive(Debug)]
struct Arguments {
    filters: Vec<String>,
    skipped: Vec<String>,
    is_exact: bool,
    /// No case is ignored by default, so none is chosen.
    only_ignored: bool,
    lists: bool,
    is_terse: bool,
    shows_output: bool,
    threads: NonZero<usize>,
}

impl Arguments {
    fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            filters: Vec::new(),
            skipped: Vec::new(),
            is_exact: false,
            only_ignored: false,
            lists: false,
            is_terse: false,
            shows_output: false,
            threads: thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (flag, given) = match argument.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
                _ => (&*argument, None),
            };
            let mut value = || given.clone().or_else(|| arguments.next()).ok_or(format!("{flag} needs a value"));
            match flag {
                "--exact" => parsed.is_exact = true,
                "--ignored" => parsed.only_ignored = true,
                "--list" => parsed.lists = true,
                "--nocapture" | "--no-capture" => parsed.shows_output = true,
                "--skip" => parsed.skipped.push(value()?),
                "--format" => parsed.is_terse = value()? == "terse",
                "--test-threads" => {
                    parsed.threads = value()?.parse().map_err(|error| format!("--test-threads: {error}"))?;
                }
                "--color" => drop(value()?),
                "--include-ignored" | "--quiet" | "-q" | "--show-output" => {}
                _ if flag.starts_with('-') => return Err(format!("unknown argument {argument}")),
                _ => parsed.filters.push(argument),
            }
        }
        Ok(parsed)
    }

    fn chooses(&self, name: &str) -> bool {
        let fits = |filter: &String| if self.is_exact { name == filter } else { name.contains(&**filter) };
        !self.only_ignored
            && (self.filters.is_empty() || self.filters.iter().any(fits))
            && !self.skipped.iter().any(fits)
    }
}

cases![arguments_choose_cases, one_that_fails_is_seen, fails_if_asked_to];

fn arguments_choose_cases() {
    let chosen = |arguments: &[&str]| {
        let asked = Arguments::parse(arguments.iter().map(|&argument| argument.to_owned())).unwrap();
        ["a::one", "a::one_more", "b::two"].into_iter().filter(|name| asked.chooses(name)).collect::<Vec<_>>()
    };
    assert_eq!(chosen(&[]), ["a::one", "a::one_more", "b::two"]);
    assert_eq!(chosen(&["one"]), ["a::one", "a::one_more"]);
    assert_eq!(chosen(&["--exact", "a::one"]), ["a::one"]);
    assert_eq!(chosen(&["more", "two", "--nocapture"]), ["a::one_more", "b::two"]);
    assert_eq!(chosen(&["--skip", "one", "--test-threads=1"]), ["b::two"]);
    assert_eq!(chosen(&["--skip=more", "a::"]), ["a::one"]);
    assert_eq!(chosen(&["--ignored"]), [""; 0]);
    for unknown in [&["--frobnicate"][..], &["--skip"], &["--test-threads", "0"]] {
        assert!(Arguments::parse(unknown.iter().map(|&argument| argument.to_owned())).is_err(), "{unknown:?}");
    }
}

/// Makes the case below fail.
const FAILS: &str = "FINALITE_TEST_FAILS";

fn one_that_fails_is_seen() {
    let case = |function, run| Case::new(module_path!(), function, run);
    assert_eq!(run(&case("fails_if_asked_to", fails_if_asked_to), false), Ok(()));
    // SAFETY: no other thread is in this process.
    unsafe { env::set_var(FAILS, "1") };
    let said = run(&case("fails_if_asked_to", fails_if_asked_to), false).unwrap_err();
    assert!(said.contains("on purpose") && said.contains("101"), "{said}");
    // Nor is one that is not there taken for one that passes.
    let said = run(&case("nowhere", fails_if_asked_to), false).unwrap_err();
    assert!(said.contains("no case is named `runner::nowhere`"), "{said}");
    // Here it would be seen as well.
    assert!(catch_unwind(AssertUnwindSafe(fails_if_asked_to)).is_err());
}

fn fails_if_asked_to() {
    assert!(env::var_os(FAILS).is_none(), "on purpose");
}
