//! The result of a scan, for people and for programs.

use std::fmt::Write;

use finalite::ValueRef;
use finalite::handles::HandleCounts;
use finalite::memory::Mode;
use serde_json::Value as Json;

use crate::summary::Column;
use crate::{Memory, Scan};

impl Scan {
    fn cells(&self) -> f64 {
        self.rows as f64 * self.columns.len() as f64
    }

    /// Nothing where there are no rows.
    fn ns_per_row(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.elapsed.as_secs_f64() * 1e9 / self.rows as f64)
    }

    fn cells_per_second(&self) -> Option<f64> {
        let seconds = self.elapsed.as_secs_f64();
        (seconds > 0.0).then(|| self.cells() / seconds)
    }
}

/// One JSON object on one line, its keys in a fixed order.
pub fn json(scan: &Scan) -> String {
    let columns: Vec<String> = scan.columns.iter().map(json_column).collect();
    format!(
        concat!(
            r#"{{"database":{},"sql":{},"mode":"{}","rows":{},"columns":{},"seconds":{},"ns_per_row":{},"#,
            r#""cells_per_second":{},"per_column":[{}],"#,
            r#""handles":{{"before":{},"during":{},"after":{}}},"native":{}}}"#,
            "\n"
        ),
        Json::from(scan.database.to_string_lossy()),
        Json::from(&*scan.sql),
        scan.mode.name(),
        scan.rows,
        scan.columns.len(),
        Json::from(scan.elapsed.as_secs_f64()),
        Json::from(scan.ns_per_row()),
        Json::from(scan.cells_per_second()),
        columns.join(","),
        json_handles(&scan.before),
        json_handles(&scan.during),
        json_handles(&scan.after),
        json_memory(&scan.memory),
    )
}

fn json_column(column: &Column) -> String {
    format!(
        r#"{{"name":{},"integer":{},"real":{},"text":{},"blob":{},"null":{},"min":{},"max":{}}}"#,
        Json::from(&*column.name),
        column.integers,
        column.reals,
        column.texts,
        column.blobs,
        column.nulls,
        json_value(column.min()),
        json_value(column.max()),
    )
}

fn json_value(value: Option<ValueRef<'_>>) -> Json {
    match value {
        None | Some(ValueRef::Null) => Json::Null,
        Some(ValueRef::Integer(value)) => Json::from(value),
        Some(ValueRef::Real(value)) if value.is_finite() => Json::from(value),
        Some(ValueRef::Real(value)) => Json::from(infinite(value)),
        Some(ValueRef::Text(bytes)) => Json::from(String::from_utf8_lossy(bytes)),
        Some(ValueRef::Blob(bytes)) => Json::from(format!("X'{}'", hex(bytes))),
    }
}

fn json_handles(counts: &HandleCounts) -> String {
    let fields: Vec<String> = counts.by_kind().map(|(kind, count)| format!(r#""{kind}":{count}"#)).collect();
    format!("{{{}}}", fields.join(","))
}

impl Memory {
    /// A figure of the process, if anybody counts.
    fn of_process(&self, figure: u64) -> Option<u64> {
        (self.during.mode != Mode::None).then_some(figure)
    }

    /// A figure of one connection, which only finalite's allocator knows.
    fn of_connection(&self, figure: u64) -> Option<u64> {
        (self.during.mode == Mode::Counting).then_some(figure)
    }
}

/// `null` where nobody counts.
fn json_memory(memory: &Memory) -> String {
    let Memory { during, connection, after } = memory;
    let of_process = |figure| Json::from(memory.of_process(figure));
    let of_connection = |figure| Json::from(memory.of_connection(figure));
    format!(
        concat!(
            r#"{{"mode":"{}","backend":"{}","bytes":{},"peak_bytes":{},"blocks":{},"#,
            r#""connection":{{"bytes":{},"peak_bytes":{},"blocks":{},"page_cache_bytes":{},"schema_bytes":{},"#,
            r#""statement_bytes":{},"lookaside_slots":{}}},"bytes_after_close":{},"blocks_after_close":{}}}"#,
        ),
        during.mode,
        during.backend,
        of_process(during.bytes),
        of_process(during.peak_bytes),
        of_process(during.blocks),
        of_connection(connection.bytes),
        of_connection(connection.peak_bytes),
        of_connection(connection.blocks),
        connection.page_cache_bytes,
        connection.schema_bytes,
        connection.statement_bytes,
        connection.lookaside_slots,
        of_process(after.bytes),
        of_process(after.blocks),
    )
}

/// For people.
pub fn text(scan: &Scan) -> String {
    let mut out = String::new();
    let speed = match (scan.ns_per_row(), scan.cells_per_second()) {
        (Some(ns_per_row), Some(cells)) => format!("{ns_per_row:.0} ns per row, {} cells per second", rough(cells)),
        _ => "no rows, no speed".to_owned(),
    };
    for (name, value) in [
        (
            "database",
            format!("{}{}", escaped(&scan.database.to_string_lossy()), scan.bytes.map_or_else(String::new, size)),
        ),
        ("sql", escaped(&scan.sql)),
        ("mode", scan.plan.map_or(scan.mode.name().to_owned(), |plan| format!("{}, {plan}", scan.mode.name()))),
        ("rows", grouped(scan.rows)),
        ("columns", scan.columns.len().to_string()),
        ("time", format!("{:.1?} to read and summarize every value", scan.elapsed)),
        ("speed", speed),
    ] {
        let _ = writeln!(out, "{name:10}{value}");
    }

    let mut columns = vec![["column", "integer", "real", "text", "blob", "null", "min", "max"].map(str::to_owned)];
    columns.extend(scan.columns.iter().map(|column| {
        let counts = [column.integers, column.reals, column.texts, column.blobs, column.nulls];
        let [integers, reals, texts, blobs, nulls] = counts.map(grouped);
        let [min, max] = [column.min(), column.max()].map(|value| value.map_or_else(String::new, short));
        [escaped(&column.name), integers, reals, texts, blobs, nulls, min, max]
    }));
    out.push('\n');
    table(&mut out, &columns, 1..6);

    let mut alive = vec![["handles alive", "before", "during", "after"].map(str::to_owned)];
    let counts = scan.before.by_kind().zip(scan.during.by_kind()).zip(scan.after.by_kind());
    alive.extend(counts.map(|(((kind, before), (_, during)), (_, after))| {
        [kind.replace('_', " "), grouped(before), grouped(during), grouped(after)]
    }));
    out.push('\n');
    table(&mut out, &alive, 1..4);

    out.push('\n');
    table(&mut out, &memory_lines(&scan.memory), 1..3);
    out
}

/// The process, the scan's connection and its parts, and what is left in the end.
fn memory_lines(memory: &Memory) -> Vec<[String; 3]> {
    let Memory { during, connection, after } = memory;
    let known = |figure: Option<u64>| figure.map_or_else(|| "unknown".to_owned(), grouped);
    let of_process = |figure| known(memory.of_process(figure));
    let of_connection = |figure| known(memory.of_connection(figure));
    let nothing = String::new;
    let lines = [
        ("during", of_process(during.bytes), of_process(during.blocks)),
        ("peak", of_process(during.peak_bytes), nothing()),
        ("the connection, during", of_connection(connection.bytes), of_connection(connection.blocks)),
        ("its peak", of_connection(connection.peak_bytes), nothing()),
        ("its page cache", grouped(connection.page_cache_bytes), nothing()),
        ("its schema", grouped(connection.schema_bytes), nothing()),
        ("its statements", grouped(connection.statement_bytes), nothing()),
        ("after close", of_process(after.bytes), of_process(after.blocks)),
    ];
    let title = [format!("native memory ({})", during.mode), "bytes".to_owned(), "blocks".to_owned()];
    let lines = lines.map(|(what, bytes, blocks)| [what.to_owned(), bytes, blocks]);
    std::iter::once(title).chain(lines).collect()
}

/// Lines of cells, padded; those in the range of numbers to the right.
fn table<const N: usize>(out: &mut String, lines: &[[String; N]], numbers: std::ops::Range<usize>) {
    let widths: [usize; N] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .enumerate()
            .map(
                |(column, (cell, width))| {
                    if numbers.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:width$}") }
                },
            )
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
}

/// A value on little room, as SQL would write it.
fn short(value: ValueRef<'_>) -> String {
    const CHARS: usize = 20;
    const BYTES: usize = 8;
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) if value.is_finite() => Json::from(value).to_string(),
        ValueRef::Real(value) => infinite(value).to_owned(),
        ValueRef::Text(bytes) => {
            // Enough bytes for the characters, of which none has more than four.
            let start = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * (CHARS + 1))]);
            match start.char_indices().nth(CHARS) {
                Some((end, _)) => format!("'{}…'", escaped(&start[..end])),
                None => format!("'{}'", escaped(&start)),
            }
        }
        ValueRef::Blob(bytes) if bytes.len() > BYTES => format!("X'{}…'", hex(&bytes[..BYTES])),
        ValueRef::Blob(bytes) => format!("X'{}'", hex(bytes)),
    }
}

/// Without control characters, which a terminal would obey.
fn escaped(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// As SQLite writes it.
fn infinite(value: f64) -> &'static str {
    if value > 0.0 { "Inf" } else { "-Inf" }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!(", {} kB", bytes.div_ceil(1000)),
        _ => format!(", {:.1} MB", bytes as f64 / 1e6),
    }
}

/// With a comma before every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of which the first digits matter.
fn rough(number: f64) -> String {
    if number >= 1e6 { format!("{:.1} million", number / 1e6) } else { grouped(number as u64) }
}
