//! The workers, and who is next: every competitor once per round, in another order each time.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use finalite_peers::task::{Answer, Numbers, Shape, Task, Workload};
use finalite_peers::{Result, file_cache, scans};

use crate::{Options, Setting};

pub const ENVIRONMENT_HEADER: &str = "\
| driver | SQLite | libsqlite3-sys | mutex | mmap_size | cache_size | journal_mode | page_size | compile options |
|---|---|---|---|---:|---:|---|---:|---|";

/// A program that is started as a worker.
pub struct Driver {
    program: PathBuf,
    first: Option<&'static str>,
    pub competitors: &'static [&'static str],
}

const OWN: &[&str] = &[
    "C usual",
    "C best",
    "C best again",
    "rusqlite get_ref",
    "rusqlite get",
    "rusqlite into Vecs",
    "rusqlite into arenas",
    "finalite Rows",
    "finalite for_each",
    "finalite for_each &str",
    "finalite batches",
    "finalite columns",
    "finalite columns &str",
    "finalite pages",
    "finalite pages columns",
    "finalite query_as",
    "finalite struct",
    "finalite struct &str",
    "finalite struct by hand",
    "rusqlite struct",
    "rusqlite struct by name",
];

/// This program, and those that there are in the directory.
pub fn drivers(others: Option<&Path>) -> Result<Vec<Driver>> {
    let mut drivers = vec![Driver { program: std::env::current_exe()?, first: Some("--worker"), competitors: OWN }];
    let known: [(&str, &[&str]); 3] = [
        ("peer-sqlite", &["sqlite", "sqlite rows"]),
        ("peer-diesel", &["diesel"]),
        ("peer-sqlx", &["sqlx", "sqlx struct"]),
    ];
    for (name, competitors) in known {
        if let Some(program) = others.map(|dir| dir.join(name)).filter(|program| program.exists()) {
            drivers.push(Driver { program, first: None, competitors });
        }
    }
    Ok(drivers)
}

impl Driver {
    pub fn print_environment(&self, path: &str, mmap: &str) -> Result<()> {
        if self.first.is_none() {
            let output = Command::new(&self.program).args(["--environment", path, mmap]).output()?;
            let errors = String::from_utf8_lossy(&output.stderr);
            if !output.status.success() {
                return Err(format!("{}: {errors}", self.program.display()).into());
            }
            print!("{}", String::from_utf8(output.stdout)?);
        }
        Ok(())
    }

    fn start(&self, path: &str, setting: &Setting, rows: u64) -> Result<Worker> {
        let mut command = Command::new(&self.program);
        let opens = if setting.is_cold { "each" } else { "once" };
        command.args(self.first).args([path, setting.mmap, opens].map(OsStr::new)).arg(rows.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let tasks = child.stdin.take().ok_or("no pipe")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        Ok(Worker { child, tasks, answers })
    }

    /// Whether it does this; the rest of a driver's limits is in METHOD.md.
    fn can(competitor: &str, workload: &Workload) -> bool {
        if competitor.starts_with("finalite pages") {
            return scans::is_of_pages(workload);
        }
        if competitor.contains("struct") {
            return scans::is_of_structs(workload);
        }
        workload.shape != Shape::Hundred || !matches!(competitor, "diesel" | "finalite query_as")
    }
}

/// A process that works when it is asked to, and waits otherwise.
struct Worker {
    child: Child,
    tasks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn ask(&mut self, task: &Task) -> Result<Answer> {
        writeln!(self.tasks, "{}", task.to_line())?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        // It says on stderr what happened, and ends.
        let Task { workload, competitor, .. } = task;
        Answer::of_line(&line).map_err(|error| format!("{workload}, {competitor}: {error}").into())
    }

    fn end(self) -> Result<()> {
        let Self { mut child, tasks, answers } = self;
        drop((tasks, answers));
        let status = child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a process that measures ended with {status}").into()) }
    }
}

/// Appends a line per sample.
#[expect(clippy::too_many_arguments, reason = "each is another thing, and there is one caller")]
pub fn measure(
    options: &Options,
    setting: &Setting,
    process: u64,
    path: &str,
    rows: u64,
    drivers: &[Driver],
    workloads: &[(&Workload, u64)],
    output: &mut String,
) -> Result<()> {
    let key_range = rows - finalite_peers::task::KEYED_ROWS;
    let mut workers =
        drivers.iter().map(|driver| driver.start(path, setting, key_range)).collect::<Result<Vec<_>>>()?;
    let mut numbers = Numbers::new(process);
    for &(workload, operations) in workloads {
        let mut runs: Vec<(usize, &'static str)> = drivers
            .iter()
            .enumerate()
            .flat_map(|(index, driver)| driver.competitors.iter().map(move |&competitor| (index, competitor)))
            .filter(|(_, competitor)| Driver::can(competitor, workload))
            .collect();
        let mut expected = None;
        // Round 0 is the first of its kind in the process, and does not count.
        for round in 0..=options.rounds {
            for last in (1..runs.len()).rev() {
                runs.swap(last, usize::try_from(numbers.below(last as u64 + 1))?);
            }
            for (position, &(worker, competitor)) in runs.iter().enumerate() {
                let name = workload.name;
                let task =
                    Task { workload: name.to_owned(), competitor: competitor.to_owned(), threads: 1, operations };
                if setting.is_cold {
                    file_cache::evict(path.as_ref())?;
                }
                let Answer { nanoseconds, checksum, .. } = workers[worker].ask(&task)?;
                if *expected.get_or_insert(checksum) != checksum {
                    return Err(format!("{name}: {competitor} read other data than the others").into());
                }
                if round > 0 {
                    let setting = setting.name;
                    writeln!(
                        output,
                        "{name},{setting},{process},{round},{position},{competitor},{operations},{nanoseconds}"
                    )?;
                }
            }
        }
    }
    workers.drain(..).try_for_each(Worker::end)
}
