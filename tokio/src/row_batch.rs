//! Rows on their way from the thread that reads them to the task that wants them.
//!
//! The thread copies the cells of a row behind those of the row before, and the task makes values of them. What a value
//! owns is then allocated and freed by one thread: of two, each would wait for the other in the allocator.

use finalite::workspace::{RemoteCell, RemoteRow};
use finalite::{Result, Row, ValueRef};

/// The first byte of a cell. Behind it, an INTEGER or a REAL has 8 bytes; a TEXT or a BLOB has its length, in 8 bytes, and
/// its bytes.
const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

/// Length of a value from which on its row has memory of its exact size.
const LARGE: usize = 64 * 1024;

/// Returns the number of bytes of a text or a blob; 0 for others.
#[inline]
fn len(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 0,
    }
}

/// Rows, as the bytes of their cells.
#[derive(Default)]
pub(crate) struct RowBatch {
    bytes: Vec<u8>,
    rows: usize,
    columns: usize,
    /// Names of the columns, with the first row of a result alone.
    names: Option<Box<[Box<str>]>>,
}

impl RowBatch {
    /// Creates a batch with room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of bytes of the cells.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds the names of the columns.
    pub(crate) fn set_names(&mut self, row: Row<'_>) -> Result<()> {
        let names = (0..row.column_count()).map(|column| row.column_name(column).map(Box::from));
        self.names = Some(names.collect::<Result<_>>()?);
        Ok(())
    }

    /// Adds a row. After an error, the batch has the rows before it.
    pub(crate) fn push(&mut self, row: Row<'_>) -> Result<()> {
        let end = self.bytes.len();
        self.columns = row.column_count();
        let mut has_room = false;
        for column in 0..self.columns {
            match row.value(column) {
                Ok(value) => {
                    if !has_room && len(value) >= LARGE {
                        self.reserve(row, column);
                        has_room = true;
                    }
                    self.push_cell(value);
                }
                Err(error) => {
                    self.bytes.truncate(end);
                    return Err(error);
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Makes room for the cells of a row from this column on, and no more.
    #[cold]
    fn reserve(&mut self, row: Row<'_>, first: usize) {
        let cells = (first..self.columns).filter_map(|column| row.value(column).ok());
        self.bytes.reserve_exact(cells.map(|value| len(value) + 9).sum());
    }

    #[inline]
    fn push_cell(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.bytes.push(NULL),
            ValueRef::Integer(value) => self.push_word(INTEGER, value.to_le_bytes()),
            ValueRef::Real(value) => self.push_word(REAL, value.to_le_bytes()),
            ValueRef::Text(text) => self.push_bytes(TEXT, text),
            ValueRef::Blob(bytes) => self.push_bytes(BLOB, bytes),
        }
    }

    #[inline]
    fn push_word(&mut self, kind: u8, word: [u8; 8]) {
        let [a, b, c, d, e, f, g, h] = word;
        self.bytes.extend_from_slice(&[kind, a, b, c, d, e, f, g, h]);
    }

    #[inline]
    fn push_bytes(&mut self, kind: u8, bytes: &[u8]) {
        self.push_word(kind, (bytes.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }
}

/// Reads the rows of batches, each as a value.
pub(crate) struct RowReader<T> {
    row: RemoteRow,
    /// Place of the next row in the buffer.
    at: usize,
    left: usize,
    columns: usize,
    read: fn(Row<'_>) -> Result<T>,
}

impl<T> RowReader<T> {
    /// Creates a reader of the result of a statement.
    pub(crate) fn new(sql: &str, read: fn(Row<'_>) -> Result<T>) -> Self {
        Self { row: RemoteRow::new(sql), at: 0, left: 0, columns: 0, read }
    }

    /// Goes on with this batch.
    pub(crate) fn set(&mut self, batch: RowBatch) {
        if let Some(names) = &batch.names {
            self.row.set_names(names.iter().map(|name| &**name));
        }
        (self.at, self.left, self.columns) = (0, batch.rows, batch.columns);
        self.row.set_buffer(batch.bytes);
    }

    /// Reads the next row; `None` after the last one of the batch.
    pub(crate) fn next(&mut self) -> Option<Result<T>> {
        self.left = self.left.checked_sub(1)?;
        let (bytes, cells) = self.row.parts();
        cells.clear();
        for _ in 0..self.columns {
            let (cell, end) = cell(bytes, self.at).expect("a batch has whole rows");
            cells.push(cell);
            self.at = end;
        }
        Some((self.read)(self.row.row()))
    }
}

/// Returns the cell at this place, and its end.
#[inline]
fn cell(bytes: &[u8], at: usize) -> Option<(RemoteCell, usize)> {
    let (&kind, rest) = bytes.get(at..)?.split_first()?;
    if kind == NULL {
        return Some((RemoteCell::Null, at + 1));
    }
    let word = *rest.first_chunk()?;
    let begin = at + 9;
    let lent = || {
        let end = begin.checked_add(usize::try_from(u64::from_le_bytes(word)).ok()?)?;
        Some(begin..end)
    };
    Some(match kind {
        INTEGER => (RemoteCell::Integer(i64::from_le_bytes(word)), begin),
        REAL => (RemoteCell::Real(f64::from_le_bytes(word)), begin),
        TEXT => lent().map(|text| (RemoteCell::Text(text.clone()), text.end))?,
        _ => lent().map(|bytes| (RemoteCell::Blob(bytes.clone()), bytes.end))?,
    })
}
