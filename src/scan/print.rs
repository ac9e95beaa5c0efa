//! A batch as a small table.

use std::fmt;

use super::batch::ColumnBatch;
use crate::value::{ColumnType, ValueRef};

/// Maximum number of rows shown; further ones are counted.
const ROWS_MAX: usize = 20;
/// Maximum number of characters of a cell; longer ones are cut.
const CHARS_MAX: usize = 24;

impl fmt::Display for ColumnBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.len().min(ROWS_MAX);
        let columns: Vec<Vec<String>> = self
            .columns()
            .iter()
            .map(|column| std::iter::once(cut(column.name())).chain(column.iter().take(shown).map(cell)).collect())
            .collect();
        let widths: Vec<usize> =
            columns.iter().map(|cells| cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
        for line in 0..=shown {
            let mut text = String::new();
            for ((cells, column), width) in columns.iter().zip(self.columns()).zip(&widths) {
                let (cell, gap) = (&cells[line], if text.is_empty() { "" } else { "  " });
                let is_number = matches!(column.data_type(), ColumnType::Integer | ColumnType::Real);
                text += &if is_number { format!("{gap}{cell:>width$}") } else { format!("{gap}{cell:width$}") };
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        match self.len() - shown {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

fn cell(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => format!("{value:?}"),
        ValueRef::Text(bytes) => cut(&String::from_utf8_lossy(bytes)),
        ValueRef::Blob(bytes) => {
            let shown = &bytes[..bytes.len().min(CHARS_MAX)];
            cut(&format!("x'{}'", shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
        }
    }
}

/// Shortens a text to the maximum length, and replaces characters that would break the line.
fn cut(text: &str) -> String {
    let moves_the_line = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut chars = text.chars().map(|c| if moves_the_line(c) { '\u{fffd}' } else { c });
    let mut cut: String = chars.by_ref().take(CHARS_MAX).collect();
    if chars.next().is_some() {
        cut.pop();
        cut.push('…');
    }
    cut
}
