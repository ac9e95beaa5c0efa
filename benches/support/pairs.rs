//! Two ways to do the same, in turns: the median of the ratios of their times, its 95 % interval, and the ratio of the
//! processor's time.

use std::time::{Duration, Instant};

use finalite::Result;

const PAIRS: usize = 40;

/// Returns the number of pairs (`--pairs n`) and the number of rows (`--rows n`); `--test` is one pair of few rows.
pub fn sizes(rows: usize) -> (usize, usize) {
    let (pairs, rows) =
        if std::env::args().any(|argument| argument == "--test") { (1, rows / 50) } else { (PAIRS, rows) };
    (argument("--pairs").unwrap_or(pairs).max(1), argument("--rows").unwrap_or(rows))
}

/// Returns the number behind an argument of the program.
fn argument(name: &str) -> Option<usize> {
    std::env::args().skip_while(|argument| argument != name).nth(1)?.parse().ok()
}

/// Measures `one` against `base`, and prints a line. `check` compares what they return.
pub fn measure<T>(
    name: &str,
    pairs: usize,
    base: impl Fn() -> Result<T>,
    one: impl Fn() -> Result<T>,
    check: impl Fn(&T, &T),
) -> Result<()> {
    let mut ratios = Vec::new();
    let mut milliseconds = Vec::new();
    for pair in 0..pairs {
        let ((time_of_base, expected), (time, found)) = if pair % 2 == 0 {
            let first = timed(&base)?;
            (first, timed(&one)?)
        } else {
            let first = timed(&one)?;
            (timed(&base)?, first)
        };
        check(&found, &expected);
        ratios.push(time.as_secs_f64() / time_of_base.as_secs_f64());
        milliseconds.push(time_of_base.as_secs_f64() * 1e3);
    }
    ratios.sort_by(f64::total_cmp);
    milliseconds.sort_by(f64::total_cmp);
    // The interval of a median by order statistics: n / 2 ± 1.96 √n / 2.
    let half = (1.96 * (pairs as f64).sqrt() / 2.0).ceil() as usize;
    let (low, high) = ((pairs / 2).saturating_sub(half), (pairs / 2 + half).min(pairs - 1));
    // On busy cores, threads wait for one; their CPU time is the same.
    let cpu = cpu_of(pairs, one)? / cpu_of(pairs, base)?;
    println!(
        "  {name:34} {:.3} ({:.3} to {:.3}), CPU {cpu:.3}, base {:.0} ms",
        ratios[pairs / 2],
        ratios[low],
        ratios[high],
        milliseconds[pairs / 2],
    );
    Ok(())
}

fn timed<T>(run: impl Fn() -> Result<T>) -> Result<(Duration, T)> {
    let began = Instant::now();
    let result = run()?;
    Ok((began.elapsed(), result))
}

/// Runs it so many times. Returns the CPU time.
fn cpu_of<T>(times: usize, run: impl Fn() -> Result<T>) -> Result<f64> {
    let before = cpu_seconds();
    (0..times).try_for_each(|_| run().map(drop))?;
    Ok(cpu_seconds() - before)
}

/// CPU time of all threads of the process, where the system tells it.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(f64::NAN);
    // utime and stime, in hundredths of a second.
    (ticks(11) + ticks(12)) / 100.0
}
