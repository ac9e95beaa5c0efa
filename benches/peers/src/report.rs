//! From samples to tables.
//!
//! A sample is a line, `workload,setting,process,round,position,competitor,operations,nanoseconds`; a line that begins
//! with `# ` says what was measured on.

use std::collections::BTreeMap;

use crate::Result;
use crate::statistics::{Estimate, median};

/// One competitor over another in a workload, and what that should be at most.
pub struct Comparison {
    workload: &'static str,
    what: &'static str,
    over: &'static str,
    at_most: Option<f64>,
}

/// A ratio to print.
pub const fn show(workload: &'static str, what: &'static str, over: &'static str) -> Comparison {
    Comparison { workload, what, over, at_most: None }
}

/// A ratio to print, with what it should be at most.
pub const fn target(workload: &'static str, what: &'static str, over: &'static str, at_most: f64) -> Comparison {
    Comparison { workload, what, over, at_most: Some(at_most) }
}

/// The samples of one workload and setting: nanoseconds by competitor and process, in the order of the rounds.
#[derive(Default)]
pub struct Group<'a> {
    pub workload: &'a str,
    pub setting: &'a str,
    pub operations: f64,
    pub competitors: Vec<&'a str>,
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

    /// Whether it took part.
    pub fn has(&self, name: &str) -> bool {
        self.samples.contains_key(name)
    }

    /// One over the other, within each round.
    pub fn ratio(&self, what: &str, over: &str) -> Result<Estimate> {
        let base = self.samples.get(over).ok_or_else(|| format!("no competitor {over:?} in {}", self.workload))?;
        self.estimate(what, |process, samples| {
            samples.iter().zip(&base[process]).map(|(what, over)| what / over).collect()
        })
    }

    /// Nanoseconds per operation: so many per cent of the runs took no longer.
    pub fn percentile(&self, name: &str, percent: usize) -> f64 {
        let mut all: Vec<f64> =
            self.samples.get(name).into_iter().flat_map(BTreeMap::values).flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        let place = (all.len().saturating_sub(1) * percent + 50) / 100;
        all.get(place).map_or(f64::NAN, |nanoseconds| nanoseconds / self.operations)
    }

    /// How often each ran.
    pub fn rounds(&self) -> usize {
        self.samples.values().next().map_or(0, |samples| samples.values().map(Vec::len).sum())
    }
}

/// The samples alone, with a header.
pub fn csv(output: &str) -> String {
    let header = "workload,setting,process,round,position,competitor,operations,nanoseconds";
    let samples = output.lines().filter(|line| !line.starts_with('#'));
    std::iter::once(header).chain(samples).flat_map(|line| [line, "\n"]).collect()
}

/// Prints tables, and returns the targets that are missed.
pub fn print(output: &str, comparisons: &[Comparison]) -> Result<Vec<String>> {
    let mut settings: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    settings.sort_unstable();
    settings.dedup();
    settings.iter().for_each(|setting| println!("- {setting}"));
    let mut missed = Vec::new();
    for group in groups(output)? {
        print_group(&group, comparisons, &mut missed)?;
    }
    Ok(missed)
}

/// The samples, put together.
pub fn groups(output: &str) -> Result<Vec<Group<'_>>> {
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

fn print_group(group: &Group<'_>, comparisons: &[Comparison], missed: &mut Vec<String>) -> Result<()> {
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
    for Comparison { what, over, at_most, .. } in comparisons.iter().filter(|known| known.workload == workload) {
        let Estimate { median, low, high } = group.ratio(what, over)?;
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
