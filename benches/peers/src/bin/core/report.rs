//! From samples to tables.

use std::collections::BTreeMap;

use finalite_peers::Result;
use finalite_peers::statistics::{Estimate, median};

/// One competitor over another, and what that should be at most.
struct Comparison {
    workload: &'static str,
    what: &'static str,
    over: &'static str,
    at_most: Option<f64>,
}

const fn show(workload: &'static str, what: &'static str, over: &'static str) -> Comparison {
    Comparison { workload, what, over, at_most: None }
}

const fn target(workload: &'static str, what: &'static str, over: &'static str, at_most: f64) -> Comparison {
    Comparison { workload, what, over, at_most: Some(at_most) }
}

/// `… again` over the same is the control: it differs from 1 by noise alone. `Rust best` is the loop of `C best`, and
/// differs from it by the compiler alone.
const COMPARISONS: [Comparison; 46] = [
    show("scan one", "C best again", "C best"),
    show("scan one", "Rust best", "C best"),
    target("scan one", "finalite value", "C best", 1.05),
    show("scan one", "finalite value", "C usual"),
    target("scan one", "finalite value", "rusqlite get_ref", 0.82),
    show("scan one", "finalite &str", "C best"),
    show("scan one", "finalite &str", "rusqlite get_ref"),
    show("scan num", "C best again", "C best"),
    show("scan num", "Rust best", "C best"),
    show("scan num", "finalite value", "C best"),
    show("scan num", "finalite value", "C usual"),
    show("scan num", "finalite value", "rusqlite get_ref"),
    show("scan num", "finalite &str", "C best"),
    show("scan num", "finalite &str", "rusqlite get_ref"),
    show("scan text", "C best again", "C best"),
    show("scan text", "Rust best", "C best"),
    show("scan text", "finalite value", "C best"),
    show("scan text", "finalite value", "C usual"),
    show("scan text", "finalite value", "rusqlite get_ref"),
    show("scan text", "finalite &str", "C best"),
    show("scan text", "finalite &str", "rusqlite get_ref"),
    show("scan wide", "C best again", "C best"),
    show("scan wide", "Rust best", "C best"),
    target("scan wide", "finalite value", "C best", 1.05),
    target("scan wide", "finalite value", "C usual", 0.81),
    target("scan wide", "finalite value", "rusqlite get_ref", 0.78),
    show("scan wide", "finalite &str", "C best"),
    show("scan wide", "finalite &str", "rusqlite get_ref"),
    show("lookup", "C usual again", "C usual"),
    show("lookup", "finalite borrowed", "C usual"),
    show("lookup", "finalite borrowed", "C as finalite"),
    target("lookup", "finalite borrowed", "rusqlite borrowed", 1.0),
    target("lookup", "finalite borrowed", "rusqlite borrowed one", 1.0),
    target("lookup", "finalite owned", "rusqlite owned", 1.0),
    target("lookup", "finalite owned", "rusqlite owned one", 1.0),
    show("insert", "C usual again", "C usual"),
    show("insert", "C usual", "rusqlite kept"),
    show("insert", "finalite cached", "C usual"),
    show("insert", "finalite kept", "C usual"),
    target("insert", "finalite cached", "rusqlite cached", 0.85),
    target("insert", "finalite kept", "rusqlite kept", 0.85),
    show("open memory", "C again", "C"),
    target("open memory", "finalite", "C", 1.05),
    show("open file", "C again", "C"),
    target("open file", "finalite", "C", 1.05),
    show("open file", "finalite", "rusqlite"),
];

/// The samples of one workload and setting: nanoseconds by competitor and process, in the order of the rounds.
#[derive(Default)]
struct Group<'a> {
    workload: &'a str,
    setting: &'a str,
    operations: f64,
    competitors: Vec<&'a str>,
    samples: BTreeMap<&'a str, BTreeMap<&'a str, Vec<f64>>>,
}

impl Group<'_> {
    /// Of a number per process the median over the processes. An interval over all samples would be too narrow: those
    /// of one process have its layout of code and memory in common, which is worth some per cent.
    fn estimate(&self, name: &str, each: impl Fn(&str, &[f64]) -> Vec<f64>) -> Result<Estimate> {
        let by_process =
            self.samples.get(name).ok_or_else(|| format!("no competitor {name:?} in {}", self.workload))?;
        let medians: Vec<_> = by_process.iter().map(|(process, samples)| median(&mut each(process, samples))).collect();
        Ok(Estimate::of(&medians))
    }
}

/// The samples alone, with a header.
pub fn csv(output: &str) -> String {
    let header = "workload,setting,process,round,position,competitor,operations,nanoseconds";
    let samples = output.lines().filter(|line| !line.starts_with('#'));
    std::iter::once(header).chain(samples).flat_map(|line| [line, "\n"]).collect()
}

/// Prints tables, and returns the targets that are missed.
pub fn print(output: &str) -> Result<Vec<String>> {
    let mut settings: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    settings.sort_unstable();
    settings.dedup();
    settings.iter().for_each(|setting| println!("- {setting}"));
    let mut missed = Vec::new();
    for group in groups(output)? {
        print_group(&group, &mut missed)?;
    }
    Ok(missed)
}

fn groups(output: &str) -> Result<Vec<Group<'_>>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for line in output.lines().filter(|line| !line.starts_with('#')) {
        let [workload, setting, process, _round, _position, competitor, operations, nanoseconds] =
            line.split(',').collect::<Vec<_>>()[..]
        else {
            return Err(format!("not a sample: {line}").into());
        };
        let place = groups.iter().position(|group| (group.workload, group.setting) == (workload, setting));
        let place = place.unwrap_or_else(|| {
            groups.push(Group { workload, setting, ..Group::default() });
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.operations = operations.parse()?;
        let samples = group.samples.entry(competitor).or_default();
        samples.entry(process).or_default().push(nanoseconds.parse()?);
    }
    for group in &mut groups {
        group.competitors = group.samples.keys().copied().collect();
    }
    Ok(groups)
}

fn print_group(group: &Group<'_>, missed: &mut Vec<String>) -> Result<()> {
    let Group { workload, setting, operations, .. } = *group;
    let processes = group.samples.values().map(BTreeMap::len).max().unwrap_or(0);
    let pairs: usize = group.samples.values().next().map_or(0, |samples| samples.values().map(Vec::len).sum());
    println!("\n## {workload}, {setting}\n");
    println!("{operations} operations a run, {pairs} rounds in {processes} processes.\n");
    println!("| | ns per operation | 95 % |\n|---|---:|---|");
    for name in &group.competitors {
        let each = |_: &str, samples: &[f64]| samples.iter().map(|sample| sample / operations).collect();
        let Estimate { median, low, high } = group.estimate(name, each)?;
        println!("| {name} | {median:.1} | {low:.1} – {high:.1} |");
    }
    println!("\n| ratio | median | 95 % | target | |\n|---|---:|---|---|---|");
    for Comparison { what, over, at_most, .. } in COMPARISONS.iter().filter(|known| known.workload == workload) {
        let base = group.samples.get(over).ok_or_else(|| format!("no competitor {over:?} in {workload}"))?;
        let Estimate { median, low, high } = group.estimate(what, |process, samples| {
            samples.iter().zip(&base[process]).map(|(what, over)| what / over).collect()
        })?;
        let verdict = match at_most {
            None => "",
            Some(target) if high <= *target => "met",
            Some(target) if low > *target => "missed",
            Some(_) => "undecided",
        };
        let target = at_most.map(|target| format!("≤ {target:.2}")).unwrap_or_default();
        println!("| {what} / {over} | {median:.3} | {low:.3} – {high:.3} | {target} | {verdict} |");
        if verdict == "missed" {
            missed.push(format!("{workload}, {setting}: {what} / {over} is {median:.3}, target {target}"));
        }
    }
    Ok(())
}
