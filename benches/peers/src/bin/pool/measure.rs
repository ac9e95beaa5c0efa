//! Every peer once per round, in another order each time.
//!
//! Prints a line per sample, `workload,setting,process,round,position,competitor,operations,nanoseconds`; where threads
//! wait, another, `#fairness workload,process,round,competitor,longest wait in ns,fewest operations,most operations`;
//! and `# …` for what connections are set to.

use std::path::Path;

use finalite::pool::DestroyReason;
use finalite_peers::task::Numbers;
use finalite_peers::{Result, task};

use crate::peers::{self, Pools, READERS};
use crate::{Options, acquire, read};

/// A pool at work: `run(n)` does n operations.
pub struct Peer<'a> {
    pub name: &'static str,
    run: Box<dyn FnMut(u64) -> Result<Done> + 'a>,
}

impl<'a> Peer<'a> {
    pub fn new(name: &'static str, run: impl FnMut(u64) -> Result<Done> + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// What a run yields.
pub struct Done {
    pub nanoseconds: u128,
    pub checksum: u64,
    pub fairness: Option<Fairness>,
}

/// How a run treated its threads.
pub struct Fairness {
    /// The longest that one of them waited for a connection, in nanoseconds.
    pub longest: u128,
    /// Operations of the thread that did fewest, and of that which did most.
    pub fewest: u64,
    pub most: u64,
}

/// Measures all that is wanted.
pub fn run(options: &Options, path: &Path) -> Result<()> {
    let pools = Pools::open(path)?;
    println!("# readers of all pools: {}", peers::settings(path)?);
    if options.wants("acquire") {
        let setting = format!("{READERS} readers and one thread");
        measure(options, ("acquire", &setting), 20_000 / options.fewer, acquire::peers(&pools))?;
    }
    for threads in [8, 2] {
        for query in read::QUERIES {
            let workload = format!("{} {threads} threads", query.name);
            if !options.wants(&workload) {
                continue;
            }
            let operations = 20_000 / options.fewer;
            let keys = task::keys(operations, options.rows - read::RANGE_ROWS)?;
            let setting = format!("{READERS} readers");
            measure(options, (&workload, &setting), operations, read::peers(&pools, path, query, threads, &keys))?;
        }
    }
    is_whole(&pools)
}

/// Only this peer, so often: for counting instructions.
pub fn fixed(path: &Path, name: &str, operations: u64) -> Result<()> {
    let pools = Pools::open(path)?;
    let mut peers = acquire::peers(&pools);
    let peer = peers.iter_mut().find(|peer| peer.name == name).ok_or_else(|| format!("no pool {name:?}"))?;
    println!("{}", (peer.run)(operations)?.checksum);
    Ok(())
}

/// A pool that had closed connections would have been measured at opening others.
fn is_whole(pools: &Pools) -> Result<()> {
    let status = pools.finalite.status();
    let destroyed = DestroyReason::ALL.into_iter().find(|reason| status.destroyed(*reason) > 0);
    let opened = u64::from(READERS) + 1;
    match destroyed {
        Some(reason) => Err(format!("a connection was closed: {reason}").into()),
        None if status.opened_total > opened => Err("more connections were opened than there are readers".into()),
        None => Ok(()),
    }
}

fn measure(
    options: &Options,
    (workload, setting): (&str, &str),
    operations: u64,
    mut peers: Vec<Peer<'_>>,
) -> Result<()> {
    let process = std::process::id();
    let mut numbers = Numbers::new(process.into());
    let mut expected = None;
    // Round 0 opens the connections and does not count.
    for round in 0..=options.rounds {
        for last in (1..peers.len()).rev() {
            peers.swap(last, usize::try_from(numbers.below(last as u64 + 1))?);
        }
        for (position, Peer { name, run }) in peers.iter_mut().enumerate() {
            let Done { nanoseconds, checksum, fairness } = run(operations)?;
            if *expected.get_or_insert(checksum) != checksum {
                return Err(format!("{workload}: {name} read other data than the others").into());
            }
            if round == 0 {
                continue;
            }
            println!("{workload},{setting},{process},{round},{position},{name},{operations},{nanoseconds}");
            if let Some(Fairness { longest, fewest, most }) = fairness {
                println!("#fairness {workload},{process},{round},{name},{longest},{fewest},{most}");
            }
        }
    }
    Ok(())
}
