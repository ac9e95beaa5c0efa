//! A process of one column: it reads tasks from its standard input, one per line, and writes how long each took.

use std::hint;
use std::io::{self, BufRead, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use finalite::OpenOptions;
use finalite_peers::task::{self, Answer, Task, waited_for_processor};
use finalite_peers::work::{self, Competitor};
use finalite_peers::{Result, native, reference};

/// Does one task after the other, until there are none.
pub fn serve(path: &str) -> Result<()> {
    let mut output = io::stdout();
    for line in io::stdin().lock().lines() {
        writeln!(output, "{}", time(&Task::of_line(&line?)?, path)?.to_line())?;
        output.flush()?;
    }
    Ok(())
}

/// What one thread did.
struct Timed {
    begin: Instant,
    end: Instant,
    waited: u128,
    checksum: u64,
}

/// All threads begin at the same time, each with connections of its own.
fn time(task: &Task, path: &str) -> Result<Answer> {
    let arrived = AtomicUsize::new(0);
    let one = || -> Result<Timed> {
        with_competitors(task, path, |competitors| {
            let competitor = competitors.iter_mut().find(|competitor| competitor.name == task.competitor);
            let competitor = competitor.ok_or_else(|| format!("no competitor {:?}", task.competitor))?;
            // Scans fill the page cache; for the others a part is enough.
            let is_scan = task.workload == "scan wide";
            (competitor.run)(if is_scan { task.operations } else { task.operations.div_ceil(10) })?;
            let waited = waited_for_processor();
            // Not asleep: so the system finds a processor for each before they begin.
            arrived.fetch_add(1, Ordering::AcqRel);
            while arrived.load(Ordering::Acquire) < task.threads {
                hint::spin_loop();
            }
            let begin = Instant::now();
            let checksum = (competitor.run)(task.operations)?;
            let end = Instant::now();
            Ok(Timed { begin, end, waited: waited_for_processor() - waited, checksum })
        })
    };
    let or_exit = || {
        one().unwrap_or_else(|error| {
            // The other threads may be waiting for this one.
            eprintln!("{}: {error}", task.workload);
            std::process::exit(1)
        })
    };
    let times = thread::scope(|scope| {
        let threads: Vec<_> = (0..task.threads).map(|_| scope.spawn(or_exit)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")).collect::<Result<Vec<_>, _>>()
    })?;
    let begin = times.iter().map(|time| time.begin).min().ok_or("no thread")?;
    let end = times.iter().map(|time| time.end).max().ok_or("no thread")?;
    let waited = times.iter().map(|time| time.waited).max().unwrap_or(0);
    let checksum = times.iter().fold(0_u64, |sum, time| sum.wrapping_add(time.checksum));
    Ok(Answer { nanoseconds: (end - begin).as_nanos(), waited, checksum })
}

fn with_competitors<T>(task: &Task, path: &str, run: impl FnOnce(&mut [Competitor<'_>]) -> Result<T>) -> Result<T> {
    match &*task.workload {
        "malloc and free" => return run(&mut native::blocks()),
        "prepare" => return run(&mut native::prepares(&native::small(true)?)?),
        "prepare without lookaside" => return run(&mut native::prepares(&native::small(false)?)?),
        "records" => return run(&mut native::levels(&native::small(true)?)),
        _ => {}
    }
    // A cache that holds all of the file.
    let conn = OpenOptions::new().read_only(true).pragma("cache_size", -400_000).open(path)?;
    let peer = reference::Handle::of(&conn).rusqlite()?;
    match &*task.workload {
        "scan wide" => run(&mut work::scans(&conn, &peer, "SELECT * FROM t")?),
        workload @ ("lookup" | "sort") => {
            let rows: u64 = conn.query_one("SELECT max(id) FROM t", ())?;
            let keys = task::keys(task.operations, rows - 50)?;
            // In one read transaction: outside of it, locking and unlocking the file hides all else.
            conn.execute("BEGIN", ())?;
            let mut competitors = match workload {
                "lookup" => work::lookups(&conn, &peer, &keys)?,
                _ => native::sorts(&conn, &peer, &keys),
            };
            run(&mut competitors)
        }
        workload => Err(format!("no workload {workload:?}").into()),
    }
}
