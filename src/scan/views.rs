//! Borrowed columns of text and bytes.

use std::fmt;

use super::column::{Bytes, ColumnBuffer, Offsets};
use crate::value::ConversionError;

/// A column of text. From [`ColumnBuffer::as_str`].
#[derive(Clone, Copy)]
pub struct TextColumn<'a> {
    column: &'a ColumnBuffer,
    /// All values; each begins and ends at a character boundary.
    text: &'a str,
    offsets: Offsets<'a>,
}

impl<'a> TextColumn<'a> {
    /// Returns the error of the first row that is not UTF-8.
    pub(super) fn new(column: &'a ColumnBuffer, values: &'a Bytes) -> Result<Self, (usize, ConversionError)> {
        let offsets = values.offsets();
        let text = str::from_utf8(&values.bytes).ok();
        let is_cut_well = |text: &str| (0..column.len()).all(|row| is_at_boundary(text, offsets, row));
        match text.filter(|text| is_cut_well(text)) {
            Some(text) => Ok(Self { column, text, offsets }),
            None => Err(first_invalid(column, values)),
        }
    }

    /// Text of a row, 0-based; `None` for NULL, and beyond the last.
    #[inline]
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&'a str> {
        let range = self.offsets.range(row)?;
        (range.start < range.end || !self.column.is_null(row)).then(|| &self.text[range])
    }

    /// The texts, row by row; `None` for NULL.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&'a str>> + use<'a> {
        let this = *self;
        (0..self.column.len()).map(move |row| this.get(row))
    }

    /// All texts, one after another.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Offsets of the values in [`text`](Self::text), in bytes.
    #[must_use]
    pub fn offsets(&self) -> Offsets<'a> {
        self.offsets
    }
}

/// Whether the text of a row ends at a character boundary.
fn is_at_boundary(text: &str, offsets: Offsets<'_>, row: usize) -> bool {
    offsets.range(row).is_some_and(|range| text.is_char_boundary(range.end))
}

#[cold]
fn first_invalid(column: &ColumnBuffer, values: &Bytes) -> (usize, ConversionError) {
    let invalid = (0..column.len()).find_map(|row| {
        let error = str::from_utf8(values.get(row)?).err()?;
        Some((row, ConversionError::not_utf8("&str", error)))
    });
    invalid.expect("if each of the texts is UTF-8, so are all of them together, cut where they end")
}

/// A column of bytes: blobs, or texts that may not be UTF-8. From [`ColumnBuffer::as_bytes`].
#[derive(Clone, Copy)]
pub struct BytesColumn<'a> {
    column: &'a ColumnBuffer,
    bytes: &'a [u8],
    offsets: Offsets<'a>,
}

impl<'a> BytesColumn<'a> {
    pub(super) fn new(column: &'a ColumnBuffer, values: &'a Bytes) -> Self {
        Self { column, bytes: &values.bytes, offsets: values.offsets() }
    }

    /// Bytes of a row, 0-based; `None` for NULL, and beyond the last.
    #[inline]
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&'a [u8]> {
        let range = self.offsets.range(row)?;
        (range.start < range.end || !self.column.is_null(row)).then(|| &self.bytes[range])
    }

    /// The values, row by row; `None` for NULL.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&'a [u8]>> + use<'a> {
        let this = *self;
        (0..self.column.len()).map(move |row| this.get(row))
    }

    /// All values, one after another.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Offsets of the values in [`bytes`](Self::bytes).
    #[must_use]
    pub fn offsets(&self) -> Offsets<'a> {
        self.offsets
    }
}

impl fmt::Debug for TextColumn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TextColumn").field(self.column).finish()
    }
}

impl fmt::Debug for BytesColumn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BytesColumn").field(self.column).finish()
    }
}
