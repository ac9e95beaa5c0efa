//! The headline as a picture: time per row over that of the usual loop in C.

use std::fmt::Write as _;

use finalite_peers::Result;
use finalite_peers::report::Group;

const SHOWN: [&str; 12] = [
    "finalite pages",
    "C best",
    "finalite for_each",
    "finalite batches",
    "finalite columns",
    "C usual",
    "rusqlite get_ref",
    "rusqlite get",
    "rusqlite into arenas",
    "rusqlite into Vecs",
    "sqlite",
    "diesel",
];
/// Beside the chart: its bar would be longer than the page.
const TOLD: &str = "sqlx";

/// Where a bar ends that is longer.
const LONGEST: f64 = 3.0;
const BAR: f64 = 16.0;
const WIDTH: f64 = 760.0;
const LABEL: f64 = 160.0;
const SCALE: f64 = (WIDTH - LABEL - 70.0) / LONGEST;

/// `None` without the headline.
pub fn draw(groups: &[Group<'_>], rows: u64) -> Result<Option<String>> {
    let shown: Vec<_> = groups.iter().filter(|group| group.setting == "1 GB mapped").collect();
    if shown.is_empty() {
        return Ok(None);
    }
    let mut body = String::new();
    let mut y = 58.0;
    for group in shown {
        writeln!(body, r##"<rect x="0" y="{}" width="{WIDTH}" height="18" fill="#ffffff"/>"##, y - 14.0)?;
        writeln!(
            body,
            r#"<text x="8" y="{y}" class="head">{}</text>"#,
            match group.workload {
                "wide" => "wide: 3 integers, 2 reals, 2 texts, a blob",
                "num" => "num: 2 integers, 2 reals",
                "text" => "text: 2 texts",
                "one" => "one: 1 integer",
                other => other,
            }
        )?;
        y += 8.0;
        for name in SHOWN.into_iter().filter(|name| group.has(name)) {
            let ratio = group.ratio(name, "C usual")?.median;
            let class = if name.starts_with("finalite") {
                "own"
            } else if name.starts_with('C') {
                "c"
            } else {
                "peer"
            };
            let (width, middle) = (ratio.min(LONGEST) * SCALE, y + BAR * 0.75);
            writeln!(body, r#"<text x="{}" y="{middle}" text-anchor="end">{name}</text>"#, LABEL - 6.0)?;
            let height = BAR - 3.0;
            writeln!(body, r#"<rect x="{LABEL}" y="{y}" width="{width:.1}" height="{height}" class="{class}"/>"#)?;
            // Before the line, so that it crosses no figure.
            let (x, behind) = (LABEL + width + 5.0, LABEL + width + 2.0);
            writeln!(body, r##"<rect x="{behind:.1}" y="{y}" width="34" height="{BAR}" fill="#ffffff"/>"##)?;
            writeln!(body, r#"<text x="{x:.1}" y="{middle}">{ratio:.2}</text>"#)?;
            y += BAR;
        }
        if group.has(TOLD) {
            let (ratio, middle) = (group.ratio(TOLD, "C usual")?.median, y + BAR * 0.75);
            writeln!(body, r#"<text x="{}" y="{middle}" text-anchor="end">{TOLD}</text>"#, LABEL - 6.0)?;
            let behind = LABEL + 2.0;
            writeln!(body, r##"<rect x="{behind}" y="{y}" width="130" height="{BAR}" fill="#ffffff"/>"##)?;
            writeln!(body, r#"<text x="{}" y="{middle}">{ratio:.1}: beyond the page</text>"#, LABEL + 5.0)?;
            y += BAR;
        }
        y += 26.0;
    }
    let line = LABEL + SCALE;
    let height = y;
    Ok(Some(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">
<style>.own{{fill:#c2410c}}.c{{fill:#64748b}}.peer{{fill:#cbd5e1}}.head{{font-weight:bold;font-size:13px}}text{{fill:#111827}}</style>
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
<text x="8" y="20" font-size="15" font-weight="bold">Reading every value of a result: time over the usual loop in C, less is better</text>
<text x="8" y="37">{rows} rows, file mapped and cached; median of interleaved runs. benches/peers/METHOD.md</text>
<line x1="{line}" x2="{line}" y1="44" y2="{}" stroke="#111827" stroke-dasharray="3 3"/>
{body}</svg>
"##,
        height - 20.0
    )))
}
