//! Applying changesets, and deciding about conflicts.

use std::fmt;
use std::io::Read;

use super::{Change, Changeset, format, stream_error};
use crate::Connection;
use crate::error::{ChangesetObstacle, Error, ErrorKind, Result};
use crate::raw::changeset::{ApplyCalls, ApplyFlags, ConflictAction, ConflictKind, RawChange, Source};
use crate::raw::serialize::SqliteBytes;
use crate::sql::quote_identifier;
use crate::value::ValueRef;

/// A change that cannot be made as it was recorded.
pub struct Conflict<'at> {
    kind: ConflictKind,
    raw: RawChange<'at>,
    /// `None` if all foreign keys together are the conflict.
    change: Option<Change<'at>>,
}

impl<'at> Conflict<'at> {
    /// Returns the kind of the conflict.
    #[must_use]
    pub fn kind(&self) -> ConflictKind {
        self.kind
    }

    /// Returns the change; `None` for [`ConflictKind::ForeignKey`], which is about all changes together.
    #[must_use]
    pub fn change(&self) -> Option<&Change<'at>> {
        self.change.as_ref()
    }

    /// Returns the value of a column, 0-based, of the row that is in the way; `None` unless the kind is
    /// [`Data`](ConflictKind::Data) or [`Conflict`](ConflictKind::Conflict).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] if there is no such column; [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3changeset_conflict](https://sqlite.org/session/sqlite3changeset_conflict.html)
    pub fn row_value(&self, column: usize) -> Result<Option<ValueRef<'at>>> {
        Ok(self.raw.conflicting(column)?)
    }
}

impl fmt::Debug for Conflict<'_> {
    /// Shows no value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conflict").field("kind", &self.kind).field("change", &self.change).finish_non_exhaustive()
    }
}

type TableFilter<'f> = dyn FnMut(&str) -> bool + 'f;

/// Options of [`Connection::apply_changeset_with`].
#[derive(Default)]
#[must_use]
pub struct ApplyOptions<'f> {
    filter: Option<Box<TableFilter<'f>>>,
    flags: ApplyFlags,
    skips_unknown_tables: bool,
}

impl<'f> ApplyOptions<'f> {
    /// Returns the options of [`Connection::apply_changeset`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a closure that gets the name of each table of the changeset, at least once, and returns whether its changes
    /// are applied.
    pub fn filter(mut self, filter: impl FnMut(&str) -> bool + 'f) -> Self {
        self.filter = Some(Box::new(filter));
        self
    }

    /// Sets whether the changes are undone instead. Not for a patchset.
    pub fn inverted(mut self, on: bool) -> Self {
        self.flags.is_inverted = on;
        self
    }

    /// Sets whether a change that is already in the database (a deletion of a row that does not exist, an update to the
    /// values that the row has, an insertion of the row that exists) is no conflict.
    pub fn ignore_noops(mut self, on: bool) -> Self {
        self.flags.ignores_noops = on;
        self
    }

    /// Sets whether actions of foreign keys (`ON DELETE CASCADE`) are left out: the changeset has their changes.
    pub fn without_foreign_key_actions(mut self, on: bool) -> Self {
        self.flags.has_no_fk_actions = on;
        self
    }

    /// Sets whether the changes of a table are left out that is missing here, has fewer columns, or another primary key.
    /// Otherwise they are an error.
    ///
    /// A changeset that is read in pieces is not known before. There SQLite decides, which leaves such changes out.
    pub fn skip_unknown_tables(mut self, on: bool) -> Self {
        self.skips_unknown_tables = on;
        self
    }
}

impl fmt::Debug for ApplyOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplyOptions")
            .field("has_filter", &self.filter.is_some())
            .field("skip_unknown_tables", &self.skips_unknown_tables)
            .finish_non_exhaustive()
    }
}

/// Outcome of a changeset that was applied.
pub struct Applied {
    rebase: SqliteBytes,
    conflicts: u64,
    omitted: u64,
    replaced: u64,
}

impl Applied {
    /// Returns the number of conflicts.
    #[must_use]
    pub fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// Returns the number of conflicts whose change was left out.
    #[must_use]
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// Returns the number of conflicts whose change was made over the row in the way.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Returns the outcome of the conflicts for a [`Rebaser`](super::Rebaser), to be stored; empty if there were none.
    #[must_use]
    pub fn rebase_bytes(&self) -> &[u8] {
        self.rebase.as_slice()
    }
}

impl fmt::Debug for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applied")
            .field("conflicts", &self.conflicts)
            .field("omitted", &self.omitted)
            .field("replaced", &self.replaced)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Makes the changes of a changeset or patchset in the main database: all of them, or after an error none. They are
    /// a transaction of their own, or within the one that is open.
    ///
    /// The closure decides about each change that cannot be made as it was recorded. It cannot use the connection; its
    /// panic takes back all changes, and is resumed by this call. [`ConflictAction::Abort`] makes the call
    /// `SQLITE_ABORT`, or `SQLITE_CONSTRAINT` for [`ConflictKind::ForeignKey`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ChangesetTable`] if a table is missing here, has fewer columns, or another primary key;
    /// [`ErrorKind::MalformedChangeset`]; `SQLITE_ABORT`; [`ErrorKind::Misuse`] if the closure replaces
    /// where nothing can be replaced; [`ErrorKind::TransactionEnded`]; errors of writing.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, data::{ConflictAction, ConflictKind}};
    ///
    /// let (here, there) = (Connection::open_in_memory()?, Connection::open_in_memory()?);
    /// for conn in [&here, &there] {
    ///     conn.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", ())?;
    /// }
    /// there.execute("INSERT INTO t VALUES (1, 'there')", ())?;
    /// let mut session = here.session()?;
    /// session.attach("t")?;
    /// here.execute("INSERT INTO t VALUES (1, 'here')", ())?;
    ///
    /// let applied = there.apply_changeset(&session.changeset()?, |conflict| match conflict.kind() {
    ///     ConflictKind::Conflict | ConflictKind::Data => ConflictAction::Replace,
    ///     _ => ConflictAction::Omit,
    /// })?;
    /// assert_eq!(applied.replaced(), 1);
    /// assert_eq!(there.query_one::<String>("SELECT a FROM t", ())?, "here");
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3changeset_apply_v2](https://sqlite.org/session/sqlite3changeset_apply.html)
    #[doc(alias("sqlite3changeset_apply", "apply"))]
    pub fn apply_changeset(
        &self,
        changeset: &Changeset,
        on_conflict: impl FnMut(&Conflict<'_>) -> ConflictAction,
    ) -> Result<Applied> {
        self.apply_changeset_with(changeset, ApplyOptions::new(), on_conflict)
    }

    /// Makes the changes of a changeset or patchset, with options.
    ///
    /// # Errors
    ///
    /// See [`apply_changeset`](Self::apply_changeset).
    ///
    /// C: [sqlite3changeset_apply_v2](https://sqlite.org/session/sqlite3changeset_apply.html)
    pub fn apply_changeset_with(
        &self,
        changeset: &Changeset,
        mut options: ApplyOptions<'_>,
        on_conflict: impl FnMut(&Conflict<'_>) -> ConflictAction,
    ) -> Result<Applied> {
        let left_out = self.check_tables(changeset, &mut options)?;
        if !left_out.is_empty() {
            let mut filter = options.filter.take().unwrap_or_else(|| Box::new(|_| true));
            options.filter = Some(Box::new(move |table| !left_out.iter().any(|out| out == table) && filter(table)));
        }
        self.apply(Source::Bytes(changeset.as_bytes()), options, on_conflict)
    }

    /// Makes the changes of a changeset or patchset that is read in pieces, without the whole of it in memory. The
    /// reader cannot use the connection. A changeset that is [inverted](ApplyOptions::inverted) is read into memory all
    /// the same, to be checked.
    ///
    /// # Errors
    ///
    /// Those of [`apply_changeset`](Self::apply_changeset), but for `ChangesetTable`, and with `SQLITE_CORRUPT` for bytes
    /// that are no changeset; [`ErrorKind::External`] with the error of the reader.
    ///
    /// C: [sqlite3changeset_apply_v2_strm](https://sqlite.org/session/sqlite3changegroup_add_strm.html)
    pub fn apply_changeset_from(
        &self,
        mut reader: impl Read,
        options: ApplyOptions<'_>,
        on_conflict: impl FnMut(&Conflict<'_>) -> ConflictAction,
    ) -> Result<Applied> {
        if options.flags.is_inverted {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map_err(Error::external)?;
            return self.apply(Source::Bytes(&bytes), options, on_conflict);
        }
        self.apply(Source::Stream(&mut reader), options, on_conflict)
    }

    fn apply(
        &self,
        source: Source<'_>,
        options: ApplyOptions<'_>,
        mut on_conflict: impl FnMut(&Conflict<'_>) -> ConflictAction,
    ) -> Result<Applied> {
        self.core().check_transaction()?;
        let ApplyOptions { filter, flags, .. } = options;
        if let Source::Bytes(bytes) = source
            && flags.is_inverted
        {
            format::check_inversion(bytes)?;
        }
        let mut filter = filter.unwrap_or_else(|| Box::new(|_| true));
        let (mut conflicts, mut omitted, mut replaced) = (0, 0, 0);
        let mut failed = None;
        let mut conflict = |kind, raw: RawChange<'_>| {
            let change = match kind {
                ConflictKind::ForeignKey => None,
                _ => match Change::of(raw) {
                    Ok(change) => Some(change),
                    // The program would take it for another kind of conflict.
                    Err(error) => {
                        failed.get_or_insert(error);
                        return ConflictAction::Abort;
                    }
                },
            };
            let action = on_conflict(&Conflict { kind, raw, change });
            conflicts += 1;
            omitted += u64::from(action == ConflictAction::Omit && kind != ConflictKind::ForeignKey);
            replaced += u64::from(action == ConflictAction::Replace);
            action
        };
        let calls = ApplyCalls { filter: &mut *filter, conflict: &mut conflict };
        let applied = self.db().apply_changes(source, calls, flags);
        if let Some(error) = failed {
            return Err(error);
        }
        let rebase = applied.map_err(|error| stream_error(error, |fault| self.error(fault)))?;
        Ok(Applied { rebase, conflicts, omitted, replaced })
    }

    /// Returns an error for bytes that are no changeset, which SQLite would report as a malformed database, and for a
    /// table whose changes it would leave out. Returns the names of these tables if that is wanted.
    fn check_tables(&self, changeset: &Changeset, options: &mut ApplyOptions<'_>) -> Result<Vec<String>> {
        let mut changes = changeset.changes()?;
        let (mut checked, mut left_out) = (None::<String>, Vec::new());
        while let Some(change) = changes.next()? {
            if checked.as_deref() == Some(change.table()) {
                continue;
            }
            checked = Some(change.table().to_owned());
            if options.filter.as_mut().is_some_and(|filter| !filter(change.table())) {
                continue;
            }
            match self.table_obstacle(&change)? {
                None => {}
                Some(_) if options.skips_unknown_tables => left_out.push(change.table().to_owned()),
                Some(obstacle) => {
                    return Err(Error::new(ErrorKind::ChangesetTable { table: change.table().into(), obstacle }));
                }
            }
        }
        Ok(left_out)
    }

    /// Compares a table of a changeset with the one here, as SQLite does.
    fn table_obstacle(&self, change: &Change<'_>) -> Result<Option<ChangesetObstacle>> {
        // SQLite treats the table of its statistics apart.
        if change.table() == "sqlite_stat1" {
            return Ok(None);
        }
        let columns = table_columns(self, change.table())?;
        if columns.is_empty() {
            return Ok(Some(ChangesetObstacle::NoSuchTable));
        }
        if columns.len() < change.column_count() {
            return Ok(Some(ChangesetObstacle::Columns { table: columns.len(), changeset: change.column_count() }));
        }
        let theirs: Vec<usize> = change.primary_key()?.collect();
        let ours: Vec<usize> =
            columns.iter().enumerate().filter(|(_, column)| column.is_key).map(|(index, _)| index).collect();
        // By its form, a rowid is the first column of a primary key. A table whose columns happen to be one more than
        // those of a changeset with such a key would take values into the wrong columns.
        let is_by_rowid = columns[0].name == ROWID;
        let has_same_key = theirs == ours && (!is_by_rowid || columns.len() == change.column_count());
        Ok((!has_same_key).then_some(ChangesetObstacle::PrimaryKey))
    }
}

/// Name of the rowid, which is not quoted.
const ROWID: &str = "_rowid_";

/// Column of a table, as changesets count them.
pub(super) struct TableColumn {
    /// Name, quoted.
    pub(super) name: String,
    pub(super) is_key: bool,
}

/// Returns the columns of a table of the main database; none if there is no such table. Generated columns are not part
/// of changesets. The first column of a table without a primary key is its rowid.
pub(super) fn table_columns(conn: &Connection, table: &str) -> Result<Vec<TableColumn>> {
    let mut statement = conn.prepare(&format!("PRAGMA main.table_xinfo({})", quote_identifier(table)))?;
    let mut rows = statement.query(())?;
    let mut columns = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get::<i64>("hidden")? == 0 {
            let name = quote_identifier(&row.get::<String>("name")?);
            columns.push(TableColumn { name, is_key: row.get::<i64>("pk")? > 0 });
        }
    }
    if !columns.is_empty() && columns.iter().all(|column| !column.is_key) {
        columns.insert(0, TableColumn { name: ROWID.into(), is_key: true });
    }
    Ok(columns)
}
