//! Batches of rows.

use finalite::workspace::RemoteCell;

use super::decode::Reader;
use super::{WORD, WireError};

/// Ends the last batch of a result.
const DONE: [u8; WORD] = [0xff; WORD];
/// Ends a batch that others follow.
const MORE: [u8; WORD] = [0xee; WORD];

/// A position in a batch of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    columns: usize,
    at: usize,
}

/// The kind of thing at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A row.
    Row,
    /// The end of the batch; another follows.
    More,
    /// The end of the result.
    Done,
}

/// Whether the batch with this body is the last one of its result.
///
/// # Errors
///
/// [`WireError`] if it does not end as a batch.
pub fn ends_rows(body: &[u8]) -> Result<bool, WireError> {
    match body.last_chunk() {
        Some(&DONE) => Ok(true),
        Some(&MORE) => Ok(false),
        _ => Err(WireError("a batch of rows without an end")),
    }
}

impl Batch {
    /// Reads the names of the columns, and returns them with the position of the first row.
    ///
    /// # Errors
    ///
    /// [`WireError`] if they are not there, or not UTF-8.
    pub fn begin(body: &[u8]) -> Result<(Self, Vec<&str>), WireError> {
        let mut reader = Reader::new(body);
        let count = reader.u64()?;
        let mut names = Vec::new();
        for _ in 0..count {
            let name = std::str::from_utf8(reader.text()?);
            names.push(name.map_err(|_| WireError("the name of a column is not UTF-8"))?);
        }
        Ok((Self { columns: names.len(), at: reader.at() }, names))
    }

    /// Reads the next row into `cells`, as ranges of the body.
    ///
    /// # Errors
    ///
    /// [`WireError`] if the row is not complete, or has a type that no value has.
    pub fn next(&mut self, body: &[u8], cells: &mut Vec<RemoteCell>) -> Result<Step, WireError> {
        cells.clear();
        match body.get(self.at..).and_then(<[u8]>::first_chunk) {
            Some(&DONE) => return Ok(Step::Done),
            Some(&MORE) => return Ok(Step::More),
            Some(_) if self.columns > 0 => {}
            Some(_) => return Err(WireError("rows without columns")),
            None => return Err(WireError("a batch of rows without an end")),
        }
        let mut reader = Reader::from(body, self.at);
        let types = reader.padded(self.columns.div_ceil(2))?;
        for column in 0..self.columns {
            let kind = types[column / 2] >> (4 * (column % 2)) & 0xf;
            cells.push(match kind {
                // INTEGER; a time or a truth value that the server has made of one by the declared type.
                1 | 9 | 11 => RemoteCell::Integer(i64::from_le_bytes(reader.word()?)),
                2 => RemoteCell::Real(f64::from_le_bytes(reader.word()?)),
                // TEXT; a date that the server has made of one.
                3 | 10 => {
                    let start = reader.at();
                    RemoteCell::Text(start..start + reader.text()?.len())
                }
                4 => {
                    let start = reader.at() + WORD;
                    RemoteCell::Blob(start..start + reader.blob()?.len())
                }
                5 => {
                    reader.word()?;
                    RemoteCell::Null
                }
                _ => return Err(WireError("a value of an unknown type")),
            });
        }
        self.at = reader.at();
        Ok(Step::Row)
    }
}
