//! Results as text: columns that line up, and Markdown.

use std::borrow::Cow;
use std::fmt;

use crate::Connection;
use crate::error::Result;
use crate::statement::Rows;
use crate::statement::params::Params;
use crate::value::{Value, ValueRef};

/// Maximum number of rows shown by default; further ones are counted.
pub(crate) const ROWS_MAX: usize = 20;
/// Maximum number of characters of a cell by default; longer ones are cut.
pub(crate) const CHARS_MAX: usize = 24;

/// A result as text, for a terminal, a log or a report. `Display` writes columns that line up, with numbers to the right;
/// [`markdown`](Self::markdown) a table of GitHub's Markdown.
///
/// All of the result is in memory. Unless it is told otherwise, `Display` shows 20 rows, and 24 characters of a cell;
/// Markdown shows everything. The result of a statement that returns no columns is an empty text.
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute_batch("CREATE TABLE user(id INTEGER, name TEXT); INSERT INTO user VALUES (1, 'Ada'), (20, NULL)")?;
/// let table = conn.query_table("SELECT * FROM user", ())?;
/// assert_eq!(
///     table.to_string(),
///     "id  name\n \
///       1  Ada\n\
///      20  NULL\n"
/// );
/// assert_eq!(
///     table.markdown().to_string(),
///     "| id | name |\n\
///      |---:|---|\n\
///      | 1 | Ada |\n\
///      | 20 | NULL |\n"
/// );
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextTable {
    names: Vec<Box<str>>,
    /// The cells of each row, one after the other.
    cells: Vec<Value>,
    rows: usize,
    rows_max: Option<usize>,
    chars_max: Option<usize>,
}

impl TextTable {
    /// Reads all remaining rows. Text that is not UTF-8 is shown with replacement characters.
    ///
    /// # Errors
    ///
    /// Those of [`Rows::next`].
    pub fn from_rows(mut rows: Rows<'_>) -> Result<Self> {
        let (mut cells, mut count) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            count += 1;
            for column in 0..row.column_count() {
                cells.push(match row.value(column)? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(value) => Value::Integer(value),
                    ValueRef::Real(value) => Value::Real(value),
                    ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                    ValueRef::Blob(bytes) => Value::Blob(bytes.to_owned()),
                });
            }
        }
        let names = rows.current().names()?.to_vec();
        Ok(Self { names, cells, rows: count, rows_max: None, chars_max: None })
    }

    /// Sets the number of rows that are shown. Further ones are counted.
    #[must_use]
    pub fn max_rows(mut self, rows: usize) -> Self {
        self.rows_max = Some(rows);
        self
    }

    /// Sets the number of characters of a cell that are shown.
    #[must_use]
    pub fn max_chars(mut self, chars: usize) -> Self {
        self.chars_max = Some(chars);
        self
    }

    /// Returns what writes the result as Markdown. Characters that Markdown gives a meaning are escaped, and line breaks
    /// are `<br>`.
    #[must_use]
    pub fn markdown(&self) -> impl fmt::Display + '_ {
        Markdown(self)
    }

    fn shown(&self, default: usize) -> usize {
        self.rows.min(self.rows_max.unwrap_or(default))
    }

    fn cell(&self, row: usize, column: usize) -> ValueRef<'_> {
        self.cells[row * self.names.len() + column].as_value_ref()
    }

    /// Whether a column has numbers alone, and NULL.
    fn is_numeric(&self, column: usize) -> bool {
        let is_number =
            |row| matches!(self.cell(row, column), ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Null);
        let is_null = |row| matches!(self.cell(row, column), ValueRef::Null);
        (0..self.rows).all(is_number) && !(0..self.rows).all(is_null)
    }
}

impl fmt::Display for TextTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, chars) = (self.shown(ROWS_MAX), self.chars_max.unwrap_or(CHARS_MAX));
        let columns = self.names.iter().enumerate().map(|(column, name)| Lines {
            is_numeric: self.is_numeric(column),
            cells: [cut(name, chars)]
                .into_iter()
                .chain((0..shown).map(|row| text_of(self.cell(row, column), chars)))
                .collect(),
        });
        write_columns(f, &columns.collect::<Vec<_>>(), self.rows - shown)
    }
}

impl Connection {
    /// Runs a statement and returns its rows as text.
    ///
    /// # Errors
    ///
    /// Those of [`prepare`](Self::prepare), [`Statement::query`](crate::Statement::query) and
    /// [`Rows::next`](crate::Rows::next).
    ///
    /// # Example
    ///
    /// See [`TextTable`].
    #[track_caller]
    pub fn query_table<'p>(&self, sql: &str, params: impl Params<'p>) -> Result<TextTable> {
        let mut statement = self.prepare_cached(sql)?;
        statement.check_columns()?;
        TextTable::from_rows(statement.query(params)?)
    }
}

/// A column of lines, of which the first is the name.
pub(crate) struct Lines {
    pub(crate) is_numeric: bool,
    pub(crate) cells: Vec<String>,
}

/// Writes columns side by side, and the number of rows that are left out.
pub(crate) fn write_columns(f: &mut fmt::Formatter<'_>, columns: &[Lines], left_out: usize) -> fmt::Result {
    let width = |column: &Lines| column.cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = columns.iter().map(width).collect();
    for line in 0..columns.first().map_or(0, |column| column.cells.len()) {
        let mut text = String::new();
        for (column, width) in columns.iter().zip(&widths) {
            let (cell, gap) = (&column.cells[line], if text.is_empty() { "" } else { "  " });
            text += &if column.is_numeric { format!("{gap}{cell:>width$}") } else { format!("{gap}{cell:width$}") };
        }
        writeln!(f, "{}", text.trim_end())?;
    }
    match left_out {
        0 => Ok(()),
        more => writeln!(f, "and {more} more"),
    }
}

struct Markdown<'a>(&'a TextTable);

impl fmt::Display for Markdown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.0;
        let (shown, chars) = (table.shown(usize::MAX), table.chars_max.unwrap_or(usize::MAX));
        let columns = 0..table.names.len();
        if columns.is_empty() {
            return Ok(());
        }
        for name in &table.names {
            write!(f, "| {} ", escaped(name))?;
        }
        f.write_str("|\n")?;
        for column in columns.clone() {
            f.write_str(if table.is_numeric(column) { "|---:" } else { "|---" })?;
        }
        f.write_str("|\n")?;
        for row in 0..shown {
            for column in columns.clone() {
                let cell = table.cell(row, column);
                // Lines are kept, which `text_of` would not.
                let text = match cell.as_str() {
                    Ok(text) => shortened(text, chars),
                    Err(_) => text_of(cell, chars).into(),
                };
                write!(f, "| {} ", escaped(&text))?;
            }
            f.write_str("|\n")?;
        }
        match table.rows - shown {
            0 => Ok(()),
            more => write!(f, "\nand {more} more\n"),
        }
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped += "<br>",
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$' => escaped.extend(['\\', c]),
            c if moves_the_line(c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Returns a value as one line of at most this many characters.
pub(crate) fn text_of(value: ValueRef<'_>, chars_max: usize) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => format!("{value:?}"),
        ValueRef::Text(bytes) => cut(&String::from_utf8_lossy(bytes), chars_max),
        ValueRef::Blob(bytes) => {
            let shown = &bytes[..bytes.len().min(chars_max)];
            cut(&format!("x'{}'", shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>()), chars_max)
        }
    }
}

/// Shortens a text to the maximum length, and replaces characters that would break the line.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    shortened(text, chars_max).chars().map(|c| if moves_the_line(c) { '\u{fffd}' } else { c }).collect()
}

fn shortened(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        None => text.into(),
        Some(_) => text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect::<String>().into(),
    }
}

fn moves_the_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
