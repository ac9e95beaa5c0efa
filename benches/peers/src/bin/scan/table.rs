//! What was measured, as tables, and what finalite loses.

use std::fmt::Write as _;

use finalite_peers::Result;
use finalite_peers::report::Group;
use finalite_peers::statistics::Estimate;

/// What must be reached: in workload and setting, who over whom, at most.
const TARGETS: [(&str, &str, &str, &str, f64); 4] = [
    ("wide", "1 GB mapped", "finalite for_each", "C best", 1.05),
    ("wide", "1 GB mapped", "finalite for_each", "C usual", 0.81),
    ("wide", "1 GB mapped", "finalite columns", "C usual", 0.90),
    ("wide", "1 GB mapped", "finalite columns", "rusqlite into Vecs", 0.70),
];

/// Who is to be ahead of whom: who borrows of who borrows, who owns of who owns.
const RIVALS: [(&str, &[&str]); 3] = [
    ("finalite for_each", &["rusqlite get_ref", "rusqlite get", "sqlite", "sqlite rows", "diesel", "sqlx"]),
    ("finalite query_as", &["rusqlite get", "sqlite", "sqlite rows", "diesel"]),
    ("finalite columns", &["rusqlite into Vecs"]),
];

/// Prints them; returns targets and losing rows.
pub fn print(groups: &[Group<'_>]) -> Result<String> {
    let mut summary = String::from("\n## Targets\n\n| | ratio | 95 % | target | |\n|---|---:|---|---|---|\n");
    let mut lost = String::new();
    for group in groups {
        print_group(group)?;
        for (workload, setting, what, over, target) in TARGETS {
            if (group.workload, group.setting) == (workload, setting) {
                let Estimate { median, low, high } = group.ratio(what, over)?;
                let verdict = if high <= target {
                    "met"
                } else if low > target {
                    "missed"
                } else {
                    "undecided"
                };
                writeln!(
                    summary,
                    "| {workload}, {setting}: {what} / {over} | {median:.3} | {low:.3} – {high:.3} | ≤ {target:.2} | {verdict} |"
                )?;
            }
        }
        for (what, rivals) in RIVALS {
            for over in rivals.iter().filter(|over| group.has(what) && group.has(over)) {
                let Estimate { median, low, high } = group.ratio(what, over)?;
                if high > 1.0 {
                    let verdict = if low > 1.0 { "behind" } else { "undecided" };
                    let Group { workload, setting, .. } = group;
                    writeln!(
                        lost,
                        "| {workload}, {setting} | {what} | {over} | {median:.3} | {low:.3} – {high:.3} | {verdict} |"
                    )?;
                }
            }
        }
    }
    if lost.is_empty() {
        summary.push_str("\nfinalite is ahead of every other driver in every workload.\n");
    } else {
        write!(summary, "\n## Not ahead\n\n| | | of | ratio | 95 % | |\n|---|---|---|---:|---|---|\n{lost}")?;
    }
    Ok(summary)
}

fn print_group(group: &Group<'_>) -> Result<()> {
    let Group { workload, setting, operations, .. } = group;
    println!("\n## {workload}, {setting}\n\n{operations} operations a run, {} runs each.\n", group.rounds());
    println!("| | ns | p5 | p95 | / C usual | 95 % | / C best | 95 % |\n|---|---:|---:|---:|---:|---|---:|---|");
    let mut rows: Vec<_> = group.competitors.iter().map(|name| (group.percentile(name, 50), name)).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (nanoseconds, name) in rows {
        let (p5, p95) = (group.percentile(name, 5), group.percentile(name, 95));
        let (usual, best) = (group.ratio(name, "C usual")?, group.ratio(name, "C best")?);
        println!(
            "| {name} | {nanoseconds:.1} | {p5:.1} | {p95:.1} | {:.3} | {:.3} – {:.3} | {:.3} | {:.3} – {:.3} |",
            usual.median, usual.low, usual.high, best.median, best.low, best.high
        );
    }
    Ok(())
}
