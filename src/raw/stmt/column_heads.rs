//! [`ColumnHeads`]: names and declared types of the columns of a result.

use std::ffi::c_int;

use super::StmtCore;
use crate::error::Fault;
use crate::raw::{ffi, text};
use crate::value::ColumnType;

/// Names and declared types of the columns of a result, which the statement and batches of its rows share. The texts are
/// in one piece of memory.
#[derive(Debug)]
pub(crate) struct ColumnHeads {
    texts: String,
    heads: Box<[ColumnHead]>,
}

/// The end of each text; the first one begins where that of the column before ends.
#[derive(Clone, Copy, Debug)]
struct ColumnHead {
    name_end: usize,
    /// `None` for a column without a declared type.
    declared_end: Option<usize>,
    /// Type that the declaration promises.
    affinity: ColumnType,
}

impl ColumnHeads {
    /// Creates those of columns with these names and declared types.
    #[cfg(test)]
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Self {
        let (mut texts, mut heads) = (String::new(), Vec::new());
        for (name, declared) in columns {
            texts.push_str(name);
            let name_end = texts.len();
            texts.push_str(declared.unwrap_or_default());
            let affinity = ColumnType::affinity(declared);
            heads.push(ColumnHead { name_end, declared_end: declared.map(|_| texts.len()), affinity });
        }
        Self { texts, heads: heads.into() }
    }

    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    fn start(&self, column: usize) -> usize {
        match column.checked_sub(1).map(|before| self.heads[before]) {
            Some(before) => before.declared_end.unwrap_or(before.name_end),
            None => 0,
        }
    }

    /// Returns the name of a column.
    ///
    /// # Panics
    ///
    /// If there is no such column.
    pub(crate) fn name(&self, column: usize) -> &str {
        &self.texts[self.start(column)..self.heads[column].name_end]
    }

    /// Returns the declared type of a column, if it is a column of a table that has one.
    ///
    /// # Panics
    ///
    /// If there is no such column.
    pub(crate) fn declared_type(&self, column: usize) -> Option<&str> {
        let ColumnHead { name_end, declared_end, .. } = self.heads[column];
        Some(&self.texts[name_end..declared_end?])
    }

    /// Returns the type that the declaration of a column promises.
    ///
    /// # Panics
    ///
    /// If there is no such column.
    pub(crate) fn affinity(&self, column: usize) -> ColumnType {
        self.heads[column].affinity
    }
}

impl StmtCore {
    /// Reads the heads of the columns.
    pub(super) fn read_column_heads(&self) -> Result<ColumnHeads, Fault> {
        let count = self.column_count();
        let mut heads = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let mut texts = String::with_capacity(16 * heads.capacity());
        for column in 0..count {
            self.push_name(&mut texts, column)?;
            let name_end = texts.len();
            let is_declared = self.push_declared_type(&mut texts, column);
            let declared = is_declared.then(|| &texts[name_end..]);
            let affinity = ColumnType::affinity(declared);
            heads.push(ColumnHead { name_end, declared_end: is_declared.then_some(texts.len()), affinity });
        }
        Ok(ColumnHeads { texts, heads: heads.into() })
    }

    fn column_count(&self) -> c_int {
        // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19); reads a count stored in it
        // (rule 20).
        unsafe { ffi::sqlite3_column_count(self.ptr.as_ptr()) }
    }

    pub(super) fn read_column_names(&self) -> Result<Box<[Box<str>]>, Fault> {
        let name = |column| {
            let mut name = String::new();
            self.push_name(&mut name, column).map(|()| name.into())
        };
        (0..self.column_count()).map(name).collect()
    }

    pub(super) fn read_declared_type(&self, column: usize) -> Option<Box<str>> {
        let mut declared = String::new();
        self.push_declared_type(&mut declared, c_int::try_from(column).ok()?).then(|| declared.into())
    }

    fn push_name(&self, texts: &mut String, column: c_int) -> Result<(), Fault> {
        // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19), and the index is below
        // `column_count`; reads memory (rule 20, c3ref/column_name.html).
        let name = unsafe { ffi::sqlite3_column_name(self.ptr.as_ptr(), column) };
        // SAFETY: NULL ("If sqlite3_malloc() fails"), or a C string that is valid until the statement is re-prepared or
        // queried again (c3ref/column_name.html); copied immediately (rule 22).
        if unsafe { text::append(texts, name) } { Ok(()) } else { Err(Fault::no_memory()) }
    }

    fn push_declared_type(&self, texts: &mut String, column: c_int) -> bool {
        // SAFETY: the statement lives as long as its core, which `self` borrows (rule 19); reads memory (rule 20,
        // c3ref/column_decltype.html). The index is not negative; for one that is too large, SQLite's source returns
        // NULL (`columnName`), where the page is silent.
        let declared = unsafe { ffi::sqlite3_column_decltype(self.ptr.as_ptr(), column) };
        // SAFETY: NULL, or a C string that is valid until the statement is finalized, re-prepared or queried again;
        // copied immediately (rule 22).
        unsafe { text::append(texts, declared) }
    }
}
