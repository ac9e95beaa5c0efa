//! What is measured in which processes, and the targets.

use finalite_peers::column::Column;
use finalite_peers::report::{Comparison, show, target};

use crate::Options;

/// The processes that work in turn. Two are stock: their ratio is 1 but for noise.
#[derive(Clone, Copy)]
pub enum Process {
    Stock,
    StockAgain,
    Uncounted,
    Finalite,
}

impl Process {
    pub const ALL: [Self; 4] = [Self::Stock, Self::StockAgain, Self::Uncounted, Self::Finalite];

    pub fn column(self) -> Column {
        match self {
            Self::Stock | Self::StockAgain => Column::Stock,
            Self::Uncounted => Column::Uncounted,
            Self::Finalite => Column::Finalite,
        }
    }
}

/// Who does it where, and what that is called.
pub struct Run {
    pub name: &'static str,
    pub process: Process,
    pub competitor: &'static str,
}

const fn run(name: &'static str, process: Process, competitor: &'static str) -> Run {
    Run { name, process, competitor }
}

pub struct Case {
    pub workload: String,
    pub setting: &'static str,
    /// What the worker calls it.
    pub kind: &'static str,
    pub threads: usize,
    /// Of each thread.
    pub operations: u64,
    pub runs: Vec<Run>,
}

/// The same in every process.
fn columns(competitor: &'static str) -> Vec<Run> {
    vec![
        run("stock", Process::Stock, competitor),
        run("stock again", Process::StockAgain, competitor),
        run("uncounted", Process::Uncounted, competitor),
        run("finalite", Process::Finalite, competitor),
    ]
}

/// And rusqlite: beside finalite, where its memory is counted too, and in a process where nobody configures SQLite.
fn with_rusqlite(finalite: &'static str, rusqlite: &'static str) -> Vec<Run> {
    let mut runs = columns(finalite);
    runs.push(run("rusqlite beside finalite", Process::Finalite, rusqlite));
    runs.push(run("rusqlite alone", Process::Stock, rusqlite));
    runs
}

pub fn all(options: &Options) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, setting, kind, threads, operations: u64, runs| {
        let workload = format!("{name} {threads} {}", if threads == 1 { "thread" } else { "threads" });
        cases.push(Case { workload, setting, kind, threads, operations, runs });
    };
    let some = |operations: u64, threads: u64| (operations / threads / options.fewer).max(1);
    for (threads, share) in [(1, 1), (2, 2), (8, 8)] {
        let operations = some(200_000, share);
        add("malloc and free", "48 to 408 bytes", "malloc and free", threads, operations, columns("C"));
    }
    for competitor in ["C", "finalite"] {
        for (setting, kind) in [("lookaside", "prepare"), ("no lookaside", "prepare without lookaside")] {
            for (threads, share) in [(1, 1), (2, 2)] {
                let name = format!("prepare {competitor} {setting}");
                let operations = some(10_000, share);
                add(&name, "prepare; step; finalize", kind, threads, operations, columns(competitor));
            }
        }
    }
    add("scan wide", "file in the page cache", "scan wide", 1, options.rows, columns("finalite value"));
    let lookups = with_rusqlite("finalite owned", "rusqlite owned one");
    add("lookup", "a connection each", "lookup", 2, some(20_000, 2), lookups);
    add("sort", "fifty rows; a connection each", "sort", 2, some(1_000, 2), with_rusqlite("finalite", "rusqlite"));
    let levels = vec![run("counters", Process::Finalite, "counters"), run("records", Process::Finalite, "records")];
    add("records", "prepare and drop", "records", 1, some(10_000, 1), levels);
    cases
}

pub const COMPARISONS: [Comparison; 46] = [
    show("malloc and free 1 thread", "stock again", "stock"),
    target("malloc and free 1 thread", "finalite", "stock", 0.65),
    target("malloc and free 1 thread", "finalite", "uncounted", 1.2),
    show("malloc and free 2 threads", "stock again", "stock"),
    target("malloc and free 2 threads", "finalite", "stock", 0.3),
    target("malloc and free 2 threads", "finalite", "uncounted", 1.2),
    show("malloc and free 8 threads", "stock again", "stock"),
    show("malloc and free 8 threads", "finalite", "stock"),
    target("malloc and free 8 threads", "finalite", "uncounted", 1.2),
    show("prepare C lookaside 1 thread", "stock again", "stock"),
    target("prepare C lookaside 1 thread", "finalite", "stock", 1.0),
    show("prepare C lookaside 1 thread", "finalite", "uncounted"),
    show("prepare C lookaside 2 threads", "stock again", "stock"),
    target("prepare C lookaside 2 threads", "finalite", "stock", 1.0),
    show("prepare C lookaside 2 threads", "finalite", "uncounted"),
    show("prepare C no lookaside 1 thread", "stock again", "stock"),
    target("prepare C no lookaside 1 thread", "finalite", "stock", 1.0),
    show("prepare C no lookaside 1 thread", "finalite", "uncounted"),
    show("prepare C no lookaside 2 threads", "stock again", "stock"),
    target("prepare C no lookaside 2 threads", "finalite", "stock", 1.0),
    show("prepare C no lookaside 2 threads", "finalite", "uncounted"),
    show("prepare finalite lookaside 1 thread", "stock again", "stock"),
    target("prepare finalite lookaside 1 thread", "finalite", "stock", 1.0),
    show("prepare finalite lookaside 1 thread", "finalite", "uncounted"),
    show("prepare finalite lookaside 2 threads", "stock again", "stock"),
    target("prepare finalite lookaside 2 threads", "finalite", "stock", 1.0),
    show("prepare finalite lookaside 2 threads", "finalite", "uncounted"),
    show("prepare finalite no lookaside 1 thread", "stock again", "stock"),
    target("prepare finalite no lookaside 1 thread", "finalite", "stock", 1.0),
    show("prepare finalite no lookaside 1 thread", "finalite", "uncounted"),
    show("prepare finalite no lookaside 2 threads", "stock again", "stock"),
    target("prepare finalite no lookaside 2 threads", "finalite", "stock", 1.0),
    show("prepare finalite no lookaside 2 threads", "finalite", "uncounted"),
    show("scan wide 1 thread", "stock again", "stock"),
    target("scan wide 1 thread", "finalite", "stock", 1.0),
    show("scan wide 1 thread", "finalite", "uncounted"),
    show("lookup 2 threads", "stock again", "stock"),
    show("lookup 2 threads", "finalite", "stock"),
    show("lookup 2 threads", "finalite", "rusqlite beside finalite"),
    show("lookup 2 threads", "finalite", "rusqlite alone"),
    show("sort 2 threads", "stock again", "stock"),
    show("sort 2 threads", "finalite", "stock"),
    show("sort 2 threads", "finalite", "uncounted"),
    show("sort 2 threads", "finalite", "rusqlite beside finalite"),
    show("sort 2 threads", "finalite", "rusqlite alone"),
    show("records 1 thread", "records", "counters"),
];
