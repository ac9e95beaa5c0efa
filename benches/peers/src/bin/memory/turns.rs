//! The processes, and who is next: every competitor once per round, in another order each time.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use finalite_peers::Result;
use finalite_peers::column::Column;
use finalite_peers::task::{Answer, Numbers, Task};

use crate::Options;
use crate::cases::{Case, Process, Run};

/// A process that works when it is asked to, and waits otherwise.
struct Worker {
    child: Child,
    tasks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(column: Column, path: &str) -> Result<Self> {
        let mut command = column.command()?;
        command.args(["--worker", column.name(), path]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let tasks = child.stdin.take().ok_or("no pipe")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        Ok(Self { child, tasks, answers })
    }

    fn ask(&mut self, task: &Task) -> Result<Answer> {
        writeln!(self.tasks, "{}", task.to_line())?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        // It says on stderr what happened, and ends.
        Answer::of_line(&line).map_err(|error| format!("{}: {error}", task.workload).into())
    }

    fn end(self) -> Result<()> {
        let Self { mut child, tasks, answers } = self;
        drop((tasks, answers));
        let status = child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a process that measures ended with {status}").into()) }
    }
}

/// Appends a line per sample.
pub fn measure(options: &Options, process: u64, path: &str, cases: &[Case], output: &mut String) -> Result<()> {
    let mut workers = Process::ALL.map(|process| Worker::start(process.column(), path));
    let mut numbers = Numbers::new(process);
    for case in cases {
        let mut runs: Vec<&Run> = case.runs.iter().collect();
        let mut expected = None;
        let (mut all, mut disturbed) = (0, 0);
        // Round 0 is the first of its kind in the process, and does not count.
        for round in 0..=options.rounds {
            for last in (1..runs.len()).rev() {
                runs.swap(last, usize::try_from(numbers.below(last as u64 + 1))?);
            }
            for (position, run) in runs.iter().enumerate() {
                let Case { workload, setting, threads, operations, .. } = case;
                let task = Task {
                    workload: case.kind.to_owned(),
                    competitor: run.competitor.to_owned(),
                    threads: *threads,
                    operations: *operations,
                };
                let worker = workers[run.process as usize].as_mut().map_err(|error| error.to_string())?;
                let (Answer { nanoseconds, checksum, .. }, shared) = ask(worker, &task)?;
                all += 1;
                disturbed += u64::from(shared);
                if *expected.get_or_insert(checksum) != checksum {
                    return Err(format!("{workload}: {} read other data than the others", run.name).into());
                }
                if round > 0 {
                    let name = run.name;
                    writeln!(
                        output,
                        "{workload},{setting},{process},{round},{position},{name},{operations},{nanoseconds}"
                    )?;
                }
            }
        }
        if disturbed > 0 {
            let workload = &case.workload;
            writeln!(output, "# {workload}, process {process}: {disturbed} of {all} runs had to share a processor")?;
        }
    }
    workers.into_iter().try_for_each(|worker| worker?.end())
}

/// Asks again while others on the machine take a processor from a thread: two threads on one processor do not meet. It
/// is told whether that helped.
fn ask(worker: &mut Worker, task: &Task) -> Result<(Answer, bool)> {
    const ATTEMPTS: u32 = 5;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    for _ in 1..ATTEMPTS {
        let answer = worker.ask(task)?;
        if task.threads > processors || !is_disturbed(&answer) {
            return Ok((answer, false));
        }
    }
    let answer = worker.ask(task)?;
    let is_disturbed = is_disturbed(&answer);
    Ok((answer, is_disturbed))
}

fn is_disturbed(answer: &Answer) -> bool {
    answer.waited * 20 > answer.nanoseconds
}
