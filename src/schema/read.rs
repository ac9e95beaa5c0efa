//! Reads schemas by pragmas. Table-valued functions are not used: a file may define tables of their names.

use std::collections::HashMap;
use std::ffi::CString;

use super::{
    Affinity, Column, ForeignKey, ForeignKeyAction, Generated, Index, IndexColumn, IndexOrigin, IndexTerm, Table,
    TableKind, Trigger, View, misuse,
};
use crate::Connection;
use crate::error::{Error, ErrorKind, NameKind, Result, ResultCode};
use crate::sql::quote_identifier;
use crate::statement::{OwnedRows, Row};
use crate::value::ValueRef;

/// The databases that one call reads.
pub(super) struct Reader<'conn> {
    conn: &'conn Connection,
    databases: Vec<Database<'conn>>,
}

/// A database, kept in one state.
struct Database<'conn> {
    name: Box<str>,
    quoted: String,
    /// A statement that stands on a row holds a read transaction open. Its first step has read a schema that another
    /// connection changed.
    _snapshot: OwnedRows<'conn>,
}

/// A row of `sqlite_schema`.
struct Entry {
    kind: Box<str>,
    name: Box<str>,
    table: Box<str>,
    sql: Option<Box<str>>,
}

/// A row of `PRAGMA table_list`.
struct Listed {
    name: Box<str>,
    kind: Box<str>,
    is_without_rowid: bool,
    is_strict: bool,
}

impl<'conn> Reader<'conn> {
    pub(super) fn new(conn: &'conn Connection, database: Option<&str>) -> Result<Self> {
        let names = match database {
            None => database_names(conn)?,
            Some(database) => find(conn, database)?.into_iter().collect(),
        };
        let databases = names.into_iter().map(|name| Database::hold(conn, name)).collect::<Result<_>>()?;
        Ok(Self { conn, databases })
    }

    /// Returns the tables whose names are wanted.
    pub(super) fn tables(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Table>> {
        let mut tables = Vec::new();
        for database in &self.databases {
            let entries = database.entries(self.conn)?;
            for listed in database.tables(self.conn, &entries)? {
                if is_wanted(&listed.name) {
                    tables.push(self.table(database, &entries, listed)?);
                }
            }
        }
        Ok(tables)
    }

    fn table(&self, database: &Database<'_>, entries: &[Entry], listed: Listed) -> Result<Table> {
        let Listed { name, kind, is_without_rowid, is_strict } = listed;
        let kind = match &*kind {
            "virtual" => TableKind::Virtual,
            "shadow" => TableKind::Shadow,
            _ if is_own(&name) => TableKind::Internal,
            _ => TableKind::Ordinary,
        };
        let mut columns = match self.columns(database, &name, is_strict) {
            // The module is not registered, or refuses the table.
            Err(error) if kind == TableKind::Virtual && error.code() == Some(ResultCode::ERROR) => Vec::new(),
            columns => columns?,
        };
        self.add_properties(database, &name, &mut columns)?;
        Ok(Table {
            database: database.name.clone(),
            kind,
            is_strict,
            is_without_rowid,
            columns,
            indexes: self.indexes_of(database, entries, &name)?,
            foreign_keys: self.foreign_keys(database, &name)?,
            sql: sql_of(entries, "table", &name),
            name,
        })
    }

    /// Returns the views whose names are wanted.
    pub(super) fn views(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<View>> {
        let mut views = Vec::new();
        for database in &self.databases {
            for Entry { kind, name, sql, .. } in database.entries(self.conn)? {
                if &*kind != "view" || !is_wanted(&name) {
                    continue;
                }
                let columns = match self.columns(database, &name, false) {
                    // What the view reads does not exist.
                    Err(error) if error.code() == Some(ResultCode::ERROR) => Vec::new(),
                    columns => columns?,
                };
                views.push(View { database: database.name.clone(), name, columns, sql });
            }
        }
        Ok(views)
    }

    pub(super) fn indexes(&self) -> Result<Vec<Index>> {
        let mut indexes = Vec::new();
        for database in &self.databases {
            let entries = database.entries(self.conn)?;
            for listed in database.tables(self.conn, &entries)? {
                indexes.extend(self.indexes_of(database, &entries, &listed.name)?);
            }
        }
        Ok(indexes)
    }

    pub(super) fn triggers(&self) -> Result<Vec<Trigger>> {
        let mut triggers = Vec::new();
        for database in &self.databases {
            let entries = database.entries(self.conn)?.into_iter().filter(|entry| &*entry.kind == "trigger");
            let database = &database.name;
            triggers.extend(entries.map(|Entry { name, table, sql, .. }| {
                let database = database.clone();
                Trigger { database, name, table, sql }
            }));
        }
        Ok(triggers)
    }

    fn columns(&self, database: &Database<'_>, table: &str, is_strict: bool) -> Result<Vec<Column>> {
        read(self.conn, &database.pragma("table_xinfo", table), |row| {
            let declared_type = text(row, 2)?.filter(|declared| !declared.is_empty());
            let hidden = row.get::<i64>(6)?;
            Ok(Column {
                name: name(row, 1)?,
                affinity: Affinity::of(declared_type.as_deref(), is_strict),
                declared_type,
                is_not_null: row.get(3)?,
                default_sql: text(row, 4)?,
                primary_key: Some(row.get::<usize>(5)?).filter(|&position| position > 0),
                is_autoincrement: false,
                generated: match hidden {
                    2 => Some(Generated::Virtual),
                    3 => Some(Generated::Stored),
                    _ => None,
                },
                is_hidden: hidden == 1,
                collation: None,
            })
        })
    }

    /// Adds what no pragma reports.
    fn add_properties(&self, database: &Database<'_>, table: &str, columns: &mut [Column]) -> Result<()> {
        let (Ok(database), Ok(table)) = (CString::new(&*database.name), CString::new(table)) else {
            return Ok(());
        };
        for column in columns {
            let Ok(name) = CString::new(&*column.name) else {
                continue;
            };
            let properties = self.conn.db().column_properties(&database, &table, &name);
            if let Some(properties) = properties.map_err(|fault| self.conn.error(fault))? {
                column.collation = properties.collation;
                column.is_autoincrement = properties.is_autoincrement;
            }
        }
        Ok(())
    }

    /// Returns the indexes of a table, in the order of their creation, which is the reverse of the pragma's.
    fn indexes_of(&self, database: &Database<'_>, entries: &[Entry], table: &str) -> Result<Vec<Index>> {
        let mut indexes = read(self.conn, &database.pragma("index_list", table), |row| {
            let name = name(row, 1)?;
            Ok(Index {
                database: database.name.clone(),
                table: table.into(),
                is_unique: row.get(2)?,
                origin: match &*text(row, 3)?.unwrap_or_default() {
                    "u" => IndexOrigin::Unique,
                    "pk" => IndexOrigin::PrimaryKey,
                    _ => IndexOrigin::Created,
                },
                is_partial: row.get(4)?,
                columns: Vec::new(),
                sql: sql_of(entries, "index", &name),
                name,
            })
        })?;
        indexes.reverse();
        for index in &mut indexes {
            index.columns = self.index_columns(database, &index.name)?;
        }
        Ok(indexes)
    }

    fn index_columns(&self, database: &Database<'_>, index: &str) -> Result<Vec<IndexColumn>> {
        let columns = read(self.conn, &database.pragma("index_xinfo", index), |row| {
            let term = match row.get::<i64>(1)? {
                -2 => IndexTerm::Expression,
                _ => IndexTerm::Column(name(row, 2)?),
            };
            let column = IndexColumn { term, is_descending: row.get(3)?, collation: name(row, 4)? };
            // The others, the rowid or the primary key, are only stored.
            Ok(row.get::<bool>(5)?.then_some(column))
        })?;
        Ok(columns.into_iter().flatten().collect())
    }

    /// Returns the foreign keys of a table, in the order of their declaration, which is the reverse of the pragma's.
    fn foreign_keys(&self, database: &Database<'_>, table: &str) -> Result<Vec<ForeignKey>> {
        let mut keys: Vec<ForeignKey> = Vec::new();
        read(self.conn, &database.pragma("foreign_key_list", table), |row| {
            let (id, from, to) = (row.get::<i64>(0)?, name(row, 3)?, text(row, 4)?);
            if let Some(key) = keys.last_mut().filter(|key| key.id == id) {
                key.from.push(from);
                key.to.extend(to);
                return Ok(());
            }
            keys.push(ForeignKey {
                id,
                table: name(row, 2)?,
                from: vec![from],
                to: to.into_iter().collect(),
                on_update: ForeignKeyAction::of(&name(row, 5)?),
                on_delete: ForeignKeyAction::of(&name(row, 6)?),
                match_clause: name(row, 7)?,
            });
            Ok(())
        })?;
        keys.reverse();
        Ok(keys)
    }
}

impl<'conn> Database<'conn> {
    fn hold(conn: &'conn Connection, name: Box<str>) -> Result<Self> {
        let quoted = quote_identifier(&name);
        let mut rows = conn.prepare(&format!("SELECT count(*) FROM {quoted}.sqlite_schema"))?.into_rows(())?;
        rows.next()?;
        Ok(Self { name, quoted, _snapshot: rows })
    }

    fn pragma(&self, pragma: &str, subject: &str) -> String {
        format!("PRAGMA {}.{pragma}({})", self.quoted, quote_identifier(subject))
    }

    /// Returns the rows of the schema table, in the order in which they were made.
    fn entries(&self, conn: &Connection) -> Result<Vec<Entry>> {
        let sql = format!("SELECT type, name, tbl_name, sql FROM {}.sqlite_schema ORDER BY rowid", self.quoted);
        read(conn, &sql, |row| {
            Ok(Entry { kind: name(row, 0)?, name: name(row, 1)?, table: name(row, 2)?, sql: text(row, 3)? })
        })
    }

    /// Returns the tables and not the views, in the order of the schema table, which comes first itself.
    fn tables(&self, conn: &Connection, entries: &[Entry]) -> Result<Vec<Listed>> {
        let mut listed = read(conn, &format!("PRAGMA {}.table_list", self.quoted), |row| {
            let (name, kind) = (name(row, 1)?, name(row, 2)?);
            Ok(Listed { name, kind, is_without_rowid: row.get(4)?, is_strict: row.get(5)? })
        })?;
        listed.retain(|table| &*table.kind != "view");
        let made = (1..).zip(entries).filter(|(_, entry)| &*entry.kind == "table");
        let positions: HashMap<&str, usize> = made.map(|(at, entry)| (&*entry.name, at)).collect();
        listed.sort_by_key(|table| positions.get(&*table.name).copied().unwrap_or(0));
        Ok(listed)
    }
}

/// Returns the names of the databases. `temp` is one of them if it has been used.
pub(crate) fn database_names(conn: &Connection) -> Result<Vec<Box<str>>> {
    read(conn, "PRAGMA database_list", |row| name(row, 1))
}

/// Returns the name of a database as SQLite has it; `None` for `temp`, if it has not been used and is therefore empty.
fn find(conn: &Connection, database: &str) -> Result<Option<Box<str>>> {
    check_name(database)?;
    let known = database_names(conn)?;
    if let Some(found) = known.iter().find(|name| name.eq_ignore_ascii_case(database)) {
        return Ok(Some(found.clone()));
    }
    if database.eq_ignore_ascii_case("temp") {
        return Ok(None);
    }
    let what = NameKind::Database;
    Err(Error::new(ErrorKind::NoSuch { what, name: database.into(), known: known.into() }))
}

/// Returns what stands before the name of a pragma: the database and a dot, or nothing for all databases. `None` for a
/// database that is empty.
pub(super) fn quoted_prefix(conn: &Connection, database: Option<&str>) -> Result<Option<String>> {
    let Some(database) = database else {
        return Ok(Some(String::new()));
    };
    Ok(find(conn, database)?.map(|name| format!("{}.", quote_identifier(&name))))
}

/// Whether there is a table of this name. The statement compares the schema with that of the file.
pub(super) fn has_table(conn: &Connection, prefix: &str, table: &str) -> Result<bool> {
    // The pragma compares the names that the schema tables have in memory.
    let table = match &*table.to_ascii_lowercase() {
        "sqlite_schema" => "sqlite_master",
        "sqlite_temp_schema" => "sqlite_temp_master",
        _ => table,
    };
    let kinds = read(conn, &format!("PRAGMA {prefix}table_list({})", quote_identifier(table)), |row| name(row, 2))?;
    Ok(kinds.iter().any(|kind| &**kind != "view"))
}

/// Whether there is a table or view of this name with such a column.
pub(super) fn has_column(conn: &Connection, prefix: &str, table: &str, column: &str) -> Result<bool> {
    let names = read(conn, &format!("PRAGMA {prefix}table_xinfo({})", quote_identifier(table)), |row| name(row, 1))?;
    Ok(names.iter().any(|name| name.eq_ignore_ascii_case(column)))
}

/// Returns an error for a name that SQLite would read to its NUL only.
pub(super) fn check_name(name: &str) -> Result<()> {
    if name.contains('\0') { Err(misuse("the name contains NUL")) } else { Ok(()) }
}

/// Whether a name is reserved for SQLite.
fn is_own(name: &str) -> bool {
    name.get(.."sqlite_".len()).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"))
}

fn sql_of(entries: &[Entry], kind: &str, name: &str) -> Option<Box<str>> {
    entries.iter().find(|entry| &*entry.kind == kind && &*entry.name == name)?.sql.clone()
}

fn read<T>(conn: &Connection, sql: &str, mut item: impl FnMut(Row<'_>) -> Result<T>) -> Result<Vec<T>> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query(())?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(item(row)?);
    }
    rows.finish()?;
    Ok(items)
}

fn text(row: Row<'_>, column: usize) -> Result<Option<Box<str>>> {
    Ok(match row.value(column)? {
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into()),
        _ => None,
    })
}

/// Returns a text that is not NULL, unless an authorizer has made it so.
fn name(row: Row<'_>, column: usize) -> Result<Box<str>> {
    Ok(text(row, column)?.unwrap_or_default())
}
