//! A table of a database file: its columns, and the state of its schema that plans rely on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion_common::arrow::datatypes::{DataType, Schema, SchemaRef};
use finalite::schema::{Column, Table, TableKind};
use finalite::sql::quote_identifier;
use finalite::{Connection, OpenOptions};
use finalite_arrow::workspace::{Origin, TableColumn, table_columns};
use finalite_arrow::{Error as ArrowError, Options};

use crate::bridge::to_datafusion;
use crate::error::{Error, Result};

/// Opens connections to a database file.
#[derive(Clone, Debug)]
pub(crate) struct Opener {
    pub(crate) options: OpenOptions,
    pub(crate) path: PathBuf,
}

impl Opener {
    pub(crate) fn new(options: OpenOptions, path: &Path) -> Self {
        Self { options, path: path.into() }
    }

    pub(crate) fn read(&self) -> Result<Connection> {
        Ok(self.options.clone().read_only(true).create(false).open(&self.path)?)
    }

    pub(crate) fn write(&self) -> Result<Connection> {
        Ok(self.options.clone().create(false).open(&self.path)?)
    }
}

/// A table or a view.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) opener: Opener,
    pub(crate) name: Box<str>,
    /// As SQL has it.
    pub(crate) quoted_name: Box<str>,
    pub(crate) schema: SchemaRef,
    pub(crate) is_view: bool,
    /// Estimate of the number of rows.
    pub(crate) rows: Option<usize>,
    options: Options,
    columns: Vec<TableColumn>,
    /// `None` for a view.
    declared: Option<Table>,
    schema_version: i64,
    is_utf8: bool,
}

/// A column that a filter may name: SQLite compares its values by rules that are known.
pub(crate) struct FilterColumn<'a> {
    pub(crate) sql: String,
    pub(crate) data_type: &'a DataType,
    pub(crate) collation: Collation,
    /// Whether SQLite orders texts as DataFusion does: by the bytes of UTF-8.
    pub(crate) is_ordered: bool,
    /// Whether each value that is not NULL is of the column's type, or an error.
    pub(crate) is_strict: bool,
}

/// Collation of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collation {
    Binary,
    /// One of SQLite's own, for which equal texts are equal.
    Coarser,
    Other,
}

impl Source {
    pub(crate) fn open(opener: Opener, options: Options, name: &str) -> Result<Self> {
        let conn = opener.read()?;
        // One state of the file.
        conn.execute("BEGIN", ())?;
        let columns = table_columns(&options, &conn, name)?;
        let fields = columns.iter().map(|column| to_datafusion::field(&column.field)).collect::<Result<Vec<_>>>()?;
        let declared = conn.schema().table(name)?;
        let quoted_name = finalite::workspace::quoted_table(&conn, name);
        let rows = declared.as_ref().map(|table| estimate(&conn, table, &quoted_name)).transpose()?.flatten();
        Ok(Self {
            name: name.into(),
            schema: Arc::new(Schema::new(fields)),
            is_view: declared.is_none() && conn.schema().view(name)?.is_some(),
            rows,
            quoted_name: quoted_name.into(),
            options,
            columns,
            declared,
            schema_version: conn.query_one("PRAGMA schema_version", ())?,
            is_utf8: conn.query_one::<String>("PRAGMA encoding", ())? == "UTF-8",
            opener,
        })
    }

    /// Returns how these columns are read.
    pub(crate) fn options(&self, projection: &[usize], rows: usize) -> Options {
        self.options.for_table_columns(projection.iter().map(|&index| &self.columns[index])).rows(rows)
    }

    pub(crate) fn column_name(&self, index: usize) -> &str {
        self.columns[index].field.name()
    }

    /// Returns the column of this name as SQL has it.
    pub(crate) fn quoted_column(&self, name: &str) -> String {
        // Qualified by the table, a name that does not exist is an error, and not a string literal.
        format!("{}.{}", self.quoted_name, quote_identifier(name))
    }

    /// Returns a column whose values compare by known rules: its type is declared, in an ordinary table.
    pub(crate) fn filter_column(&self, name: &str) -> Option<FilterColumn<'_>> {
        let table = self.declared.as_ref().filter(|table| table.kind == TableKind::Ordinary)?;
        let index = self.schema.index_of(name).ok()?;
        let field = self.schema.field(index);
        // Numbers in a column of JSON are read as text.
        if self.columns[index].origin != Origin::Declared || !field.metadata().is_empty() {
            return None;
        }
        let collation = match table.column(name)?.collation.as_deref() {
            None => Collation::Binary,
            Some(name) if name.eq_ignore_ascii_case("BINARY") => Collation::Binary,
            Some(name) if ["NOCASE", "RTRIM"].iter().any(|it| it.eq_ignore_ascii_case(name)) => Collation::Coarser,
            Some(_) => Collation::Other,
        };
        Some(FilterColumn {
            sql: self.quoted_column(name),
            data_type: field.data_type(),
            collation,
            is_ordered: self.is_utf8,
            is_strict: self.options.is_strict(),
        })
    }

    /// Checks that the columns are as they were when the plan was made.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`].
    pub(crate) fn check<'a>(&self, conn: &Connection, columns: impl Iterator<Item = &'a str>) -> Result<()> {
        let Some(before) = &self.declared else {
            return Ok(());
        };
        if conn.query_one::<i64>("PRAGMA schema_version", ())? == self.schema_version {
            return Ok(());
        }
        // Without the table, SQLite's own error says so.
        let Some(now) = conn.schema().table(&self.name)? else {
            return Ok(());
        };
        let rules = |column: &Column| (column.declared_type.clone(), column.affinity, column.collation.clone());
        for name in columns {
            if now.column(name).map(rules) != before.column(name).map(rules) {
                return Err(self.changed(name));
            }
        }
        Ok(())
    }

    pub(crate) fn changed(&self, column: &str) -> Error {
        Error::Changed { table: self.name.clone(), column: column.into() }
    }
}

/// Estimates the number of rows without reading them: by what `ANALYZE` has counted, otherwise by the range of the
/// rowids, which rows that were deleted make too large.
fn estimate(conn: &Connection, table: &Table, quoted_name: &str) -> Result<Option<usize>> {
    let main = &*table.database;
    if conn.table_exists(Some(main), "sqlite_stat1")? {
        let sql = format!("SELECT CAST(stat AS INTEGER) FROM {}.sqlite_stat1 WHERE tbl = ?", quote_identifier(main));
        let counted: Vec<Option<i64>> = conn.query_all(&sql, (&*table.name,))?;
        if let Some(rows) = counted.into_iter().flatten().max() {
            return Ok(usize::try_from(rows).ok());
        }
    }
    if table.kind != TableKind::Ordinary || table.is_without_rowid {
        return Ok(None);
    }
    let sql = format!("SELECT (SELECT min(rowid) FROM {quoted_name}), (SELECT max(rowid) FROM {quoted_name})");
    let (first, last): (Option<i64>, Option<i64>) = conn.query_one(&sql, ())?;
    let Some((first, last)) = first.zip(last) else {
        return Ok(Some(0));
    };
    let range = last.abs_diff(first).saturating_add(1);
    let bytes: i64 = conn.query_one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", ())?;
    // A row takes at least a length, a rowid, a header and the pointer to it.
    let most = u64::try_from(bytes).unwrap_or(u64::MAX) / (5 + table.columns.len() as u64);
    Ok(usize::try_from(range.min(most.max(1))).ok())
}

/// A panic of the thread that works for a query.
pub(crate) fn panicked() -> Error {
    ArrowError::Panicked.into()
}
