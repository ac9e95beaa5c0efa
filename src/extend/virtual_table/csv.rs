//! Tables over CSV files and texts.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::PathBuf;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::{
    CallbackError, CellCall, Declared, FilterCall, TableCall, TableCursor, TableDefinition, TableOptions, VirtualTable,
};
use crate::sql::quote_identifier;
use crate::vfs::{Existing, ExistingFile, FileKind, FileName, OpenFlags};

/// A virtual table over comma-separated values ([RFC 4180](https://www.rfc-editor.org/rfc/rfc4180)), of the feature `csv`:
/// `CREATE VIRTUAL TABLE temp.t USING csv(filename = 'a.csv', header = yes)`.
///
/// The arguments are those of SQLite's own extension of this name, and two more. Values are TEXT, in UTF-8. A record that
/// is too short ends with NULLs; what a long one has beyond the columns is left out.
///
/// | Argument | |
/// |---|---|
/// | `filename` | the file. It is read through SQLite's default file system, record by record |
/// | `data` | the text itself, in place of a file |
/// | `header` | `yes`: the first record has the names of the columns. By default they are `c0`, `c1` and so on |
/// | `columns` | number of columns; by default that of the first record |
/// | `schema` | `CREATE TABLE` statement that declares the columns, for types: a column of INTEGER reads `'7'` as a number in a comparison |
/// | `delimiter` | one character of ASCII in place of the comma; `\t` for a tabulator |
/// | `quote` | one character of ASCII in place of `"`; an empty text if nothing is quoted |
///
/// The rowid is the number of the record, from 1, without the header. Views and triggers of a database cannot use the
/// table, so that a file does not make the program read another.
///
/// Whoever may run SQL can read each file that the program can: register the module for SQL that is trusted.
///
/// # Example
///
/// ```
/// use finalite::{Connection, extend::virtual_table::Csv};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("cities.csv");
/// std::fs::write(&path, "name,people\nOslo,717710\n\"Ys, the lost\",0\n")?;
///
/// let conn = Connection::open_in_memory()?;
/// conn.create_module::<Csv>("csv", ())?;
/// let file = finalite::sql::quote_literal(finalite::ValueRef::Text(path.to_str().unwrap().as_bytes()));
/// conn.execute(&format!("CREATE VIRTUAL TABLE temp.city USING csv(filename = {file}, header = yes)"), ())?;
/// assert_eq!(conn.query_one::<String>("SELECT name FROM city WHERE people = '0'", ())?, "Ys, the lost");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// C: [The CSV Virtual Table](https://sqlite.org/csv.html)
#[derive(Debug)]
pub struct Csv {
    source: Source,
    has_header: bool,
    delimiter: u8,
    /// `None` if nothing is quoted.
    quote: Option<u8>,
}

#[derive(Debug)]
enum Source {
    Path(PathBuf),
    Text(String),
}

/// A cursor on a table of CSV.
pub struct CsvCursor<'t> {
    table: &'t Csv,
    reader: Option<Reader<Box<dyn Read + 't>>>,
    record: ByteRecord,
    number: i64,
}

impl std::fmt::Debug for CsvCursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsvCursor").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A file of SQLite's file system as a stream: a descriptor of a database file that is closed beside SQLite's drops its
/// locks.
struct FileStream {
    file: ExistingFile,
    at: u64,
}

impl Read for FileStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.at).map_err(io::Error::other)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Csv {
    /// Opens the source, behind the header.
    fn open_records(&self) -> Result<Reader<Box<dyn Read + '_>>, CallbackError> {
        const BUFFER_BYTES: usize = 64 << 10;
        let source: Box<dyn Read + '_> = match &self.source {
            Source::Text(text) => Box::new(text.as_bytes()),
            Source::Path(path) => {
                let system = Existing::default_one()?;
                let path = system.full_path(path)?.path;
                let flags = OpenFlags::read_only(FileKind::MainDatabase);
                Box::new(FileStream { file: system.open(Some(&FileName::new(&path, &[])?), flags)?, at: 0 })
            }
        };
        let mut builder = ReaderBuilder::new();
        builder.has_headers(self.has_header).flexible(true).delimiter(self.delimiter).buffer_capacity(BUFFER_BYTES);
        match self.quote {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        Ok(builder.from_reader(source))
    }

    /// Returns the declaration of the columns.
    fn schema(&self, columns: Option<usize>) -> Result<String, CallbackError> {
        let mut reader = self.open_records()?;
        let mut names: Vec<String> = match self.has_header {
            true => {
                let of_header = |name: &[u8]| String::from_utf8(name.to_vec()).map_err(|_| "a name is not UTF-8");
                reader.byte_headers()?.iter().map(of_header).collect::<Result<_, _>>()?
            }
            false => {
                let mut first = ByteRecord::new();
                reader.read_byte_record(&mut first)?;
                (0..first.len()).map(|number| format!("c{number}")).collect()
            }
        };
        if let Some(columns) = columns {
            names.truncate(columns);
            names.extend((names.len()..columns).map(|number| format!("c{number}")));
        }
        if names.is_empty() {
            return Err("there is no column: the first record is missing".into());
        }
        let columns: Vec<String> = names.iter().map(|name| quote_identifier(name) + " TEXT").collect();
        Ok(format!("CREATE TABLE x({})", columns.join(", ")))
    }
}

impl VirtualTable for Csv {
    type Shared = ();
    type Cursor<'t> = CsvCursor<'t>;

    const OPTIONS: TableOptions = TableOptions::new().direct_only();

    fn connect(_: &(), definition: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        const COLUMNS_MAX: usize = 32_767;
        let (mut source, mut schema, mut columns, mut has_header) = (None, None, None, false);
        let (mut delimiter, mut quote) = (b',', Some(b'"'));
        for argument in definition.arguments() {
            let (key, value) = argument.split_once('=').unwrap_or((argument, "yes"));
            let (key, value) = (key.trim().to_ascii_lowercase(), unquoted(value.trim()));
            match &*key {
                "filename" | "data" if source.is_some() => return Err("the source is given twice".into()),
                "filename" => source = Some(Source::Path(PathBuf::from(&*value))),
                "data" => source = Some(Source::Text(value.into_owned())),
                "schema" => schema = Some(value.into_owned()),
                "header" => has_header = boolean(&value).ok_or("header is neither yes nor no")?,
                "columns" => {
                    let count = value.parse().ok().filter(|count| (1..=COLUMNS_MAX).contains(count));
                    columns = Some(count.ok_or("columns is no number from 1 to 32767")?);
                }
                "delimiter" => delimiter = character(&value).ok_or("delimiter is not one character of ASCII")?,
                "quote" if value.is_empty() => quote = None,
                "quote" => quote = Some(character(&value).ok_or("quote is not one character of ASCII")?),
                _ => return Err(format!("unknown argument `{key}`").into()),
            }
        }
        let table = Self { source: source.ok_or("neither filename nor data is given")?, has_header, delimiter, quote };
        let schema = match schema {
            Some(schema) => schema,
            None => table.schema(columns)?,
        };
        Ok(Declared::new(schema, table))
    }

    fn open<'t>(&'t self, _: &'t ()) -> Result<CsvCursor<'t>, CallbackError> {
        Ok(CsvCursor { table: self, reader: None, record: ByteRecord::new(), number: 0 })
    }
}

/// Returns the value of an argument without its quotes.
fn unquoted(value: &str) -> Cow<'_, str> {
    let quote = value.chars().next().filter(|quote| matches!(quote, '\'' | '"'));
    let inner = quote.and_then(|quote| value.strip_prefix(quote)?.strip_suffix(quote).map(|inner| (quote, inner)));
    match inner {
        Some((quote, inner)) => Cow::Owned(inner.replace(&format!("{quote}{quote}"), &quote.to_string())),
        None => Cow::Borrowed(value),
    }
}

fn boolean(value: &str) -> Option<bool> {
    match &*value.to_ascii_lowercase() {
        "yes" | "on" | "true" | "1" => Some(true),
        "no" | "off" | "false" | "0" => Some(false),
        _ => None,
    }
}

fn character(value: &str) -> Option<u8> {
    match value.as_bytes() {
        b"\\t" => Some(b'\t'),
        &[byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Some(byte),
        _ => None,
    }
}

impl CsvCursor<'_> {
    fn advance(&mut self) -> Result<bool, CallbackError> {
        self.number += 1;
        match &mut self.reader {
            Some(reader) => Ok(reader.read_byte_record(&mut self.record)?),
            None => Ok(false),
        }
    }
}

impl TableCursor for CsvCursor<'_> {
    fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
        self.reader = Some(self.table.open_records()?);
        self.number = 0;
        self.advance()
    }

    fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
        self.advance()
    }

    fn column(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        let Some(value) = self.record.get(column) else {
            return Ok(());
        };
        let text = std::str::from_utf8(value)
            .map_err(|_| format!("record {}, column {}: not UTF-8", self.number, column + 1))?;
        cell.set(text)
    }

    fn rowid(&self) -> Result<i64, CallbackError> {
        Ok(self.number)
    }
}
