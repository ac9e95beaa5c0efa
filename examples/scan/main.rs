//! Reads every value of a query, and says how fast that was, what the columns hold, which handles were alive and what
//! memory SQLite held.
//!
//! `cargo run --release --example scan -- --help` tells how to call it. [`scan`] is the part that shows finalite.

#[path = "../events/mod.rs"]
mod events;
mod report;
mod sample;
mod summary;

use std::error::Error;
use std::ffi::OsString;
use std::fs::FileType;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use finalite::handles::{self, HandleCounts};
use finalite::memory::{self, ConnectionMemory, MemoryStats};
use finalite::scan::{ScanPlan, ScanStrategy};
use finalite::{ColumnBatch, Connection, ErrorKind, OpenOptions, ResultCode, Row};

use summary::{Collation, Column};

const HELP: &str = "\
Read every value of a query on a SQLite database; print the speed, what the columns hold, the live handles,
and the memory that SQLite held.

Usage: scan [DATABASE [SQL]] [--where CONDITION] [--mode rows|for-each|columns|pages] [--threads N] [--json]
            [--rows N]

  DATABASE   a database file, opened for reading only;
             without it, a sample is built in a temporary directory and removed at the end
  SQL        a statement that returns rows; without it, SELECT * FROM the table with the most rows
  --where    a condition on the rows, in SQL, where no SQL is given: \"price > 10 AND name IS NOT NULL\"
  --mode     how the rows are read: one by one (rows), in one call (for-each), all of them into columns in memory
             (columns), or in one call from the table's pages, where the SQL is a scan of a table (pages); rows unless
             given. Arrow is in another package: cargo run --release -p finalite-arrow --example scan_arrow
  --threads N
             number of threads, 1 to 256; 1 unless given. More than one decode pages, in the modes columns and pages
  --json     print one JSON object: text that is not UTF-8 with U+FFFD in place of what is wrong,
             a blob as \"X'hex'\", an infinite REAL as \"Inf\" or \"-Inf\"
  --rows N   rows in the sample, 1000000 unless given
  --help     print this

Exit code: 0, or 2 with one line on stderr.
";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How the rows are read.
#[derive(Clone, Copy)]
enum Mode {
    Rows,
    ForEach,
    Columns,
    Pages,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Rows, Self::ForEach, Self::Columns, Self::Pages];

    fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::ForEach => "for-each",
            Self::Columns => "columns",
            Self::Pages => "pages",
        }
    }
}

/// Threads decode pages; one thread alone does so where it was asked for.
fn strategy(mode: Mode, threads: usize) -> ScanStrategy {
    match mode {
        Mode::Columns if threads > 1 => ScanStrategy::Pages,
        Mode::Pages => ScanStrategy::Pages,
        Mode::Rows | Mode::ForEach | Mode::Columns => ScanStrategy::Statement,
    }
}

/// What a scan found.
struct Scan {
    mode: Mode,
    /// What yielded the rows, where there was a choice.
    plan: Option<ScanPlan>,
    database: PathBuf,
    bytes: Option<u64>,
    sql: String,
    rows: u64,
    elapsed: Duration,
    columns: Vec<Column>,
    before: HandleCounts,
    during: HandleCounts,
    after: HandleCounts,
    memory: Memory,
}

/// What SQLite held outside of Rust's heap.
struct Memory {
    during: MemoryStats,
    connection: ConnectionMemory,
    after: MemoryStats,
}

/// What was alive while the rows were at hand.
struct During {
    handles: HandleCounts,
    memory: MemoryStats,
    connection: ConnectionMemory,
}

impl During {
    fn now(conn: &Connection) -> Self {
        Self { handles: handles::counts(), memory: memory::stats(), connection: conn.memory() }
    }
}

fn main() -> ExitCode {
    events::warn_on_stderr();
    match arguments(std::env::args_os().skip(1)).and_then(run).and_then(|output| print(&output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever SQL or path is quoted in it. Nobody is left to hear that stderr is gone.
            let line: String = error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ = writeln!(io::stderr(), "error: {line}");
            ExitCode::from(2)
        }
    }
}

struct Arguments {
    database: Option<PathBuf>,
    sql: Option<String>,
    condition: Option<String>,
    rows: u32,
    mode: Mode,
    threads: usize,
    json: bool,
    help: bool,
}

fn arguments(given: impl Iterator<Item = OsString>) -> Outcome<Arguments> {
    let mut arguments = Arguments {
        database: None,
        sql: None,
        condition: None,
        rows: 1_000_000,
        mode: Mode::Rows,
        threads: 1,
        json: false,
        help: false,
    };
    let mut rows = None;
    let mut words = Vec::new();
    let mut given = given;
    while let Some(word) = given.next() {
        match word.to_str() {
            Some("--json") => arguments.json = true,
            Some("--help" | "-h") => arguments.help = true,
            Some("--mode") => {
                let mode = given.next().ok_or("--mode needs a word")?.to_string_lossy().into_owned();
                let known = Mode::ALL.into_iter().find(|known| known.name() == mode);
                arguments.mode = known.ok_or_else(|| match &*mode {
                    "arrow" => "--mode arrow is in another package: cargo run --release -p finalite-arrow --example \
                                scan_arrow"
                        .to_owned(),
                    _ => format!("--mode is rows, for-each, columns or pages, not {mode}"),
                })?;
            }
            Some("--threads") => {
                let number = given.next().ok_or("--threads needs a number")?;
                let threads = number.to_str().and_then(|number| number.parse().ok());
                arguments.threads = threads
                    .filter(|threads| (1..=256).contains(threads))
                    .ok_or_else(|| format!("--threads needs a number from 1 to 256, not {}", number.display()))?;
            }
            Some("--where") => {
                let condition = given.next().ok_or("--where needs a condition")?;
                arguments.condition = Some(condition.into_string().map_err(|_| "the condition is not UTF-8")?);
            }
            Some("--rows") => rows = Some(given.next().ok_or("--rows needs a number")?),
            Some("--") => words.extend(given.by_ref()),
            Some(option) if option.starts_with('-') => {
                return Err(format!("unknown option {option}, see --help").into());
            }
            _ => words.push(word),
        }
    }
    if let Some(number) = rows {
        let number = number.to_string_lossy();
        arguments.rows =
            number.parse().map_err(|_| format!("--rows needs a number up to {}, not {number}", u32::MAX))?;
        if !words.is_empty() {
            return Err("--rows is for the sample, and a DATABASE is given".into());
        }
    }
    if arguments.threads > 1 && matches!(arguments.mode, Mode::Rows | Mode::ForEach) {
        return Err("--threads is for the modes columns and pages".into());
    }
    if arguments.condition.is_some() && words.len() > 1 {
        return Err("--where is for a table, and SQL is given".into());
    }
    let mut words = words.into_iter();
    arguments.database = words.next().map(PathBuf::from);
    arguments.sql = words.next().map(|sql| sql.into_string().map_err(|_| "the SQL is not UTF-8")).transpose()?;
    match words.next() {
        // To SQLite an empty path is a new temporary database.
        _ if arguments.database.as_deref() == Some(Path::new("")) => Err("the path of the database is empty".into()),
        Some(word) => Err(format!("too many arguments, from {} on, see --help", word.display()).into()),
        None => Ok(arguments),
    }
}

/// Does it, and returns what to print.
fn run(mut arguments: Arguments) -> Outcome<String> {
    if arguments.help {
        return Ok(HELP.to_owned());
    }
    let is_json = arguments.json;
    let scan = match arguments.database.take() {
        Some(database) => scan(database, arguments)?,
        None => {
            let directory = tempfile::Builder::new().prefix("finalite-scan-").tempdir()?;
            let database = directory.path().join("sample.db");
            sample::build(&database, arguments.rows)?;
            scan(database, arguments)?
        }
    };
    Ok(if is_json { report::json(&scan) } else { report::text(&scan) })
}

fn scan(database: PathBuf, arguments: Arguments) -> Outcome<Scan> {
    let Arguments { sql, condition, mode, threads, .. } = arguments;
    let before = handles::counts();
    let conn = open(&database)?;
    // Saves a copy of every page; SQLite does without where there is no such thing.
    conn.execute("PRAGMA mmap_size = 1073741824", ())?;
    let collation = Collation::of(&conn.pragma::<String>("encoding")?);
    let sql = match sql {
        Some(sql) => sql,
        None => match condition {
            Some(condition) => format!("{} WHERE {condition}", select_largest_table(&conn)?),
            None => select_largest_table(&conn)?,
        },
    };
    let statement = conn.prepare(&sql)?;
    if statement.column_count() == 0 {
        return Err(format!("the statement returns no rows: {}", statement.sql()).into());
    }
    let mut columns = Columns { columns: statement.column_names()?.map(Column::new).collect(), collation };
    drop(statement);

    // The time is of this: every value is read and goes into the summary of its column.
    let start = Instant::now();
    let (count, during) = match mode {
        Mode::Rows => read_rows(&conn, &sql, &mut columns)?,
        _ => read_scan(&conn, &sql, mode, threads, &mut columns)?,
    };
    let elapsed = start.elapsed();
    let plan = match strategy(mode, threads) {
        ScanStrategy::Pages => Some(conn.scan(&sql, ()).strategy(ScanStrategy::Pages).threads(threads).plan()?),
        _ => None,
    };

    conn.close()?;
    let after = handles::counts();
    let memory = Memory { during: during.memory, connection: during.connection, after: memory::stats() };
    let bytes = database.metadata().ok().map(|metadata| metadata.len());
    Ok(Scan {
        mode,
        plan,
        database,
        bytes,
        sql,
        rows: count,
        elapsed,
        columns: columns.columns,
        before,
        during: during.handles,
        after,
        memory,
    })
}

/// The summaries of all columns.
struct Columns {
    columns: Vec<Column>,
    collation: Collation,
}

impl Columns {
    #[inline]
    fn add_row(&mut self, row: Row<'_>) -> finalite::Result<()> {
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.add(row.value(index)?, self.collation);
        }
        Ok(())
    }

    fn add_batch(&mut self, batch: &ColumnBatch) {
        for (column, values) in self.columns.iter_mut().zip(batch.columns()) {
            values.iter().for_each(|value| column.add(value, self.collation));
        }
    }
}

fn read_rows(conn: &Connection, sql: &str, columns: &mut Columns) -> Outcome<(u64, During)> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query(())?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        columns.add_row(row)?;
        count += 1;
    }
    let during = During::now(conn);
    rows.finish()?;
    Ok((count, during))
}

fn read_scan(
    conn: &Connection,
    sql: &str,
    mode: Mode,
    threads: usize,
    columns: &mut Columns,
) -> Outcome<(u64, During)> {
    let scan = conn.scan(sql, ()).strategy(strategy(mode, threads)).threads(threads);
    let count = match mode {
        Mode::Columns => {
            let batch = scan.columns()?;
            columns.add_batch(&batch);
            // What it holds counts.
            return Ok((batch.len() as u64, During::now(conn)));
        }
        _ if threads > 1 => scan.batches(4096, |batch| {
            columns.add_batch(batch);
            Ok(())
        })?,
        _ => scan.for_each(|row| columns.add_row(row))?,
    };
    Ok((count, During::now(conn)))
}

/// Opens the database for reading.
///
/// A database in WAL mode has two more files beside it, which SQLite cannot make in a directory that is not writable.
/// If there is no log to read, nobody is writing and the file is all there is: then it is opened as immutable.
fn open(path: &Path) -> Outcome<Connection> {
    // SQLite would wait for ever for somebody to write into a pipe. What cannot be looked at is its to explain.
    if let Some(what) = path.metadata().ok().and_then(|metadata| unreadable(metadata.file_type())) {
        return Err(format!("cannot read {}: it is {what}", path.display()).into());
    }
    let options = OpenOptions::new().read_only(true).uri(false);
    // Opening alone reads nothing.
    let read_something = |conn: Connection| conn.pragma::<i64>("schema_version").map(|_| conn);
    let opened = options.open(path).and_then(read_something).or_else(|error| {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let may_be_about_wal = matches!(error.code(), Some(ResultCode::CANTOPEN | ResultCode::READONLY));
        if may_be_about_wal && path.is_file() && !Path::new(&log).exists() {
            return options.immutable(true).open(path).and_then(read_something).map_err(|_| error);
        }
        Err(error)
    });
    // The kind alone: which statement it was that read first is nobody's concern.
    opened.map_err(|error| format!("cannot read {}: {}", path.display(), error.kind()).into())
}

/// What it is, if it is no file.
fn unreadable(file_type: FileType) -> Option<&'static str> {
    if file_type.is_dir() {
        Some("a directory")
    } else if !file_type.is_file() {
        Some("no regular file")
    } else {
        None
    }
}

/// The query for a database of which nothing is known: all of the table with the most rows.
///
/// Tables that SQLite or a virtual table keeps for itself do not count.
fn select_largest_table(conn: &Connection) -> Outcome<String> {
    let names = "SELECT name FROM pragma_table_list
                 WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                 ORDER BY type, name";
    let mut largest = None;
    let mut unreadable: Option<Box<dyn Error>> = None;
    for name in conn.prepare(names)?.query_as::<String>(())? {
        let table = match name {
            Ok(name) => format!("\"{}\"", name.replace('"', "\"\"")),
            Err(error) if matches!(error.kind(), ErrorKind::ColumnConversion { .. }) => {
                unreadable = Some("the table's name is not UTF-8, as SQL has to be".into());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let sql = format!("SELECT count(*) FROM {table}");
        match conn.prepare(&sql).and_then(|mut count| count.query_one::<i64>(())) {
            Ok(rows) if largest.as_ref().is_none_or(|(most, _)| rows > *most) => largest = Some((rows, table)),
            Ok(_) => {}
            // A module or collation that is not there: another table may do without.
            Err(error) if error.code() == Some(ResultCode::ERROR) => unreadable = Some(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    match (largest, unreadable) {
        (Some((_, table)), _) => Ok(format!("SELECT * FROM {table}")),
        (None, Some(error)) => Err(error),
        (None, None) => Err("there is no table in the database: nothing to scan".into()),
    }
}

fn print(output: &str) -> Outcome<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(output.as_bytes()).and_then(|()| stdout.flush()) {
        // `scan | head -1` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| format!("cannot write the result: {error}").into()),
    }
}
