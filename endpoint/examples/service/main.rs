//! A service: a ledger on a pool, worked on by many threads, with a page that shows what SQLite holds meanwhile.
//!
//! `cargo run --release -p finalite-endpoint --example service` prints the address of the page, and a line each
//! second. It ends on Enter, or after `--seconds`; then the ledger is balanced, and nothing of SQLite's is left.

mod ledger;
mod load;

use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use finalite::pool::{Checkpointer, Pool, Role};
use finalite::{OpenOptions, handles, memory, stats};

use finalite_endpoint::Options;
use ledger::Ledger;
use load::Load;

const HELP: &str = "\
Keep a ledger on a SQLite database with many threads, and serve a page that shows SQLite's memory meanwhile.

Usage: service [--address HOST:PORT] [--seconds N] [--threads N] [--show-sql] [DATABASE]

  DATABASE   a file, made if it is not there; without it, one in a temporary directory that is removed at the end
  --address  where the page is served; 127.0.0.1:8017 unless given, port 0 for any
  --seconds  how long; until Enter is pressed unless given, or until it is stopped where there is no terminal
  --threads  how many threads read and write, 8 unless given
  --show-sql whether the page shows the text of statements
  --help     print this
";

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Arguments {
    address: String,
    duration: Option<Duration>,
    threads: usize,
    shows_sql: bool,
    database: Option<std::path::PathBuf>,
}

impl Arguments {
    /// `None`: help was asked for.
    fn parse() -> Outcome<Option<Self>> {
        let mut arguments =
            Self { address: "127.0.0.1:8017".into(), duration: None, threads: 8, shows_sql: false, database: None };
        let mut given = std::env::args_os().skip(1);
        while let Some(argument) = given.next() {
            let mut value = |name: &str| {
                let value = given.next().and_then(|value| value.into_string().ok());
                value.ok_or_else(|| format!("{name} needs a value"))
            };
            match argument.to_str() {
                Some("--help") => return Ok(None),
                Some("--show-sql") => arguments.shows_sql = true,
                Some("--address") => arguments.address = value("--address")?,
                Some("--seconds") => {
                    arguments.duration = Some(Duration::try_from_secs_f64(value("--seconds")?.parse()?)?)
                }
                Some("--threads") => arguments.threads = value("--threads")?.parse::<usize>()?.max(1),
                Some(other) if other.starts_with('-') => return Err(format!("{other} is not known: see --help").into()),
                _ => arguments.database = Some(argument.into()),
            }
        }
        Ok(Some(arguments))
    }
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("service: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Outcome<()> {
    let Some(arguments) = Arguments::parse()? else {
        print!("{HELP}");
        return Ok(());
    };
    let temporary = tempfile::tempdir()?;
    let path = arguments.database.clone().unwrap_or_else(|| temporary.path().join("ledger.db"));

    // These two lines are all that a service needs for the page.
    let endpoint = Options::new().expose_sql(arguments.shows_sql).serve(&arguments.address)?;
    println!("endpoint: {}", endpoint.url());

    let pool = Arc::new(
        Pool::builder(&path)
            .name("ledger")
            .readers(4)
            .reserved(1)
            .options(OpenOptions::recommended().pragma("cache_size", -4000))
            .build()?,
    );
    let ledger = Ledger::create(Arc::clone(&pool))?;
    let checkpointer = Checkpointer::start(&pool, Duration::from_secs(5))?;

    let load = Load::default();
    thread::scope(|scope| -> Outcome<()> {
        for thread in 0..arguments.threads {
            let (ledger, load) = (&ledger, &load);
            thread::Builder::new()
                .name(format!("worker-{thread}"))
                .spawn_scoped(scope, move || load.run(thread, ledger))?;
        }
        report(&pool, &load, arguments.duration);
        load.stop();
        Ok(())
    })?;

    println!("{} accounts hold {} cents, as at the beginning", ledger::ACCOUNTS, ledger.balance()?);
    drop(checkpointer);
    drop(ledger);
    let pool = Arc::into_inner(pool).ok_or("somebody still has the pool")?;
    println!("{}", pool.close());
    drop(endpoint);
    let left = memory::stats();
    println!("left: {} handles, {} native bytes in {} blocks", handles::counts().total(), left.bytes, left.blocks);
    match load.into_failure() {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

/// Prints a line each second, until the time is over, somebody presses Enter, or a thread fails.
fn report(pool: &Pool, load: &Load, duration: Option<Duration>) {
    let (press, pressed) = mpsc::channel();
    if duration.is_none() && io::stdin().is_terminal() {
        println!("Enter ends it.");
        // It ends with the process: nothing can wake it but a key.
        thread::spawn(move || io::stdin().read_line(&mut String::new()).map(|_| press.send(())));
    } else {
        std::mem::forget(press);
    }
    let start = Instant::now();
    let mut before = (stats::snapshot(), load.counts());
    while !load.is_over() && duration.is_none_or(|duration| start.elapsed() < duration) {
        let left = duration.map_or(Duration::MAX, |duration| duration.saturating_sub(start.elapsed()));
        if pressed.recv_timeout(left.min(Duration::from_secs(1))).is_ok() {
            return;
        }
        let now = (stats::snapshot(), load.counts());
        let change = now.0.diff(&before.0);
        let rate = |now: u64, before: u64| (now - before) as f64 / change.elapsed.as_secs_f64();
        let status = pool.status();
        println!(
            "{:6.0} transfers/s {:6.0} reads/s | native {:6.2} MB in {:5} blocks, {:7.0} allocations/s | {} handles | \
             readers {}/{} out, {} waiting; destroyed {}",
            rate(now.1.transfers, before.1.transfers),
            rate(now.1.reads, before.1.reads),
            now.0.memory.bytes as f64 / 1e6,
            now.0.memory.blocks,
            change.allocations as f64 / change.elapsed.as_secs_f64(),
            now.0.open.total(),
            status.role(Role::Reader).checked_out.len(),
            status.role(Role::Reader).size,
            status.role(Role::Reader).waiting,
            status.destroyed_total.iter().sum::<u64>(),
        );
        before = now;
    }
}
