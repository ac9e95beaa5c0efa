//! The schema: found beside the program, loaded into memory once, and again when a file changes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use std::{env, fs, io};

use finalite::data::Migrations;
use finalite::extend::{Access, Action};
use finalite::schema::{Table, TableKind};
use finalite::{Connection, ErrorKind};

use crate::problem::Problem;

/// A schema in memory.
pub(crate) struct Schema {
    pub(crate) conn: Connection,
    /// The SELECTs of views, by their name in lower case. A temporary one can have the name of another.
    pub(crate) views: HashMap<String, Vec<String>>,
    /// Tables that statements have asked for, by database and name.
    tables: RefCell<HashMap<(String, String), Option<TableFacts>>>,
}

struct TableFacts {
    table: Table,
    /// The column that is another name of the rowid.
    rowid: Option<String>,
}

impl Schema {
    /// Loads the schema of a script.
    pub(crate) fn of_script(script: &str) -> finalite::Result<Self> {
        Self::load(|conn| conn.execute_batch(script))
    }

    fn load(fill: impl FnOnce(&Connection) -> finalite::Result<()>) -> finalite::Result<Self> {
        let conn = Connection::open_in_memory()?;
        // Nothing that is checked opens a file.
        let is_file = |action: &Action<'_>| matches!(action, Action::Attach { .. });
        conn.set_authorizer(move |request| if is_file(&request.action) { Access::Deny } else { Access::Allow })?.keep();
        fill(&conn)?;
        let mut views: HashMap<String, Vec<String>> = HashMap::new();
        for database in ["main", "temp"] {
            for view in conn.schema_of(database).views()? {
                let select = view.sql.as_deref().and_then(select_of).map(str::to_owned);
                views.entry(view.name.to_ascii_lowercase()).or_default().extend(select);
            }
        }
        Ok(Self { conn, views, tables: RefCell::default() })
    }

    /// Whether a column of the schema is never NULL where its table has a row.
    pub(crate) fn is_not_null(&self, database: &str, table: &str, column: &str) -> bool {
        self.with_table(database, table, |facts| {
            let is_rowid = facts.rowid.as_deref() == Some(column) || facts.table.column(column).is_none();
            // What a virtual column yields is not stored, so that no check was made of it.
            let is_stored = |generated| !matches!(generated, Some(finalite::schema::Generated::Virtual));
            is_rowid
                || facts.table.column(column).is_some_and(|column| column.is_not_null && is_stored(column.generated))
        })
    }

    /// Whether a table is STRICT.
    pub(crate) fn is_strict(&self, database: &str, table: &str) -> bool {
        self.with_table(database, table, |facts| facts.table.is_strict)
    }

    /// Asks something about an ordinary table; `false` for any other.
    fn with_table(&self, database: &str, table: &str, ask: impl FnOnce(&TableFacts) -> bool) -> bool {
        let key = (database.to_owned(), table.to_owned());
        let mut tables = self.tables.borrow_mut();
        tables.entry(key).or_insert_with(|| self.read_table(database, table)).as_ref().is_some_and(ask)
    }

    fn read_table(&self, database: &str, table: &str) -> Option<TableFacts> {
        let found = self.conn.schema_of(database).table(table).ok()??;
        if found.kind != TableKind::Ordinary {
            return None;
        }
        let name = ["rowid", "_rowid_", "oid"].into_iter().find(|name| found.column(name).is_none());
        let rowid = name.filter(|_| !found.is_without_rowid).and_then(|name| {
            let table = finalite::sql::quote_identifier(table);
            let statement = self.conn.prepare(&format!("SELECT {name} FROM \"{database}\".{table}")).ok()?;
            Some(statement.columns().ok()?.first()?.origin_column()?.to_owned())
        });
        Some(TableFacts { table: found, rowid })
    }

    /// Returns the names of tables and views, for a message.
    pub(crate) fn names(&self) -> Vec<String> {
        let tables = self.conn.schema().tables().unwrap_or_default().into_iter();
        let tables = tables.filter(|table| matches!(table.kind, TableKind::Ordinary | TableKind::Virtual));
        let mut names: Vec<String> = tables.map(|table| table.name.into()).collect();
        names.extend(self.conn.schema().views().unwrap_or_default().into_iter().map(|view| view.name.into()));
        names.retain(|name| name != "finalite_migrations");
        names
    }

    /// Returns the columns of a table or a view, for a message.
    pub(crate) fn columns_of(&self, name: &str) -> Option<Vec<String>> {
        let names =
            |columns: Vec<finalite::schema::Column>| columns.into_iter().map(|column| column.name.into()).collect();
        match self.conn.schema().table(name).ok()? {
            Some(table) => Some(names(table.columns)),
            None => Some(names(self.conn.schema().view(name).ok()??.columns)),
        }
    }
}

/// Returns the SELECT of a CREATE VIEW.
fn select_of(sql: &str) -> Option<&str> {
    let tokens = crate::tokens::tokens(sql);
    let at = crate::tokens::position(&tokens, 0, |_, token| token.is("AS"))?;
    Some(&sql[tokens.get(at + 1)?.at..])
}

/// A schema, the files that it was read from, and their state then.
struct Loaded {
    files: Vec<Stamp>,
    schema: Result<Schema, Problem>,
}

#[derive(Clone, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    modified: Option<SystemTime>,
    length: u64,
}

/// Calls a function with the schema of the program that is being compiled, and with its files.
pub(crate) fn with<R>(
    chosen: Option<&str>,
    check: impl FnOnce(&Schema) -> Result<R, Problem>,
) -> (Vec<PathBuf>, Result<R, Problem>) {
    static CACHE: Mutex<Option<HashMap<PathBuf, Loaded>>> = Mutex::new(None);

    let found = root().and_then(|root| Ok((find(&root, chosen)?, root)));
    let (source, root) = match found {
        Ok(found) => found,
        Err(problem) => return (Vec::new(), Err(problem)),
    };
    let files = match stamps(&source) {
        Ok(files) => files,
        Err(error) => return (Vec::new(), Err(Problem::new(format!("{}: {error}", source.display())))),
    };
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let cache = cache.get_or_insert_default();
    if cache.get(&source).is_none_or(|loaded| loaded.files != files) {
        let schema = load(&root, &source, &files);
        cache.insert(source.clone(), Loaded { files, schema });
    }
    let loaded = &cache[&source];
    let paths = loaded.files.iter().map(|file| file.path.clone()).collect();
    (paths, loaded.schema.as_ref().map_err(Clone::clone).and_then(check))
}

/// The folder of the program's `Cargo.toml`.
fn root() -> Result<PathBuf, Problem> {
    let root = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    root.ok_or_else(|| Problem::new("the schema is searched beside Cargo.toml, but CARGO_MANIFEST_DIR is not set"))
}

/// Returns the path of the schema: a file or a folder.
fn find(root: &Path, chosen: Option<&str>) -> Result<PathBuf, Problem> {
    const CHOOSE: &str = "choose another file or folder: sql!(schema = \"path\", \"SELECT ..\")";
    if let Some(chosen) = chosen {
        let path = root.join(chosen);
        let missing = || Problem::new(format!("no schema: there is no {chosen} in {}", root.display()));
        return if path.exists() { Ok(path) } else { Err(missing()) };
    }
    let (file, folder) = (root.join("schema.sql"), root.join("migrations"));
    match (file.is_file(), folder.is_dir()) {
        (true, false) => Ok(file),
        (false, true) => Ok(folder),
        (false, false) => {
            let folder = root.display();
            Err(Problem::new(format!("no schema: there is neither schema.sql nor migrations/ in {folder}"))
                .help(CHOOSE))
        }
        (true, true) => {
            let message = format!("two schemas: both schema.sql and migrations/ are in {}", root.display());
            Err(Problem::new(message).help(
                "choose one: sql!(schema = \"schema.sql\", \"SELECT ..\") or sql!(schema = \"migrations\", \"SELECT ..\")",
            ))
        }
    }
}

/// Returns the files of a schema, in order, with their state.
fn stamps(source: &Path) -> io::Result<Vec<Stamp>> {
    let mut files = Vec::new();
    if source.is_dir() {
        add_folder(source, true, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
    } else {
        files.push(stamp(source.to_owned())?);
    }
    Ok(files)
}

/// Adds the scripts of a folder, and those of its folders: `0001_users/up.sql`.
fn add_folder(folder: &Path, with_folders: bool, files: &mut Vec<Stamp>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if with_folders {
                add_folder(&path, false, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(stamp(path)?);
        }
    }
    Ok(())
}

fn stamp(path: PathBuf) -> io::Result<Stamp> {
    let metadata = fs::metadata(&path)?;
    Ok(Stamp { modified: metadata.modified().ok(), length: metadata.len(), path })
}

fn load(root: &Path, source: &Path, files: &[Stamp]) -> Result<Schema, Problem> {
    let name = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let mut texts = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file.path);
        texts.push((name(&file.path), text.map_err(|error| Problem::new(format!("{}: {error}", name(&file.path))))?));
    }
    let loaded = if source.is_dir() {
        if texts.is_empty() {
            return Err(Problem::new(format!("no schema: the folder {} has no file .sql", name(source))));
        }
        Migrations::from_files(texts).and_then(|all| Schema::load(|conn| all.migrate(conn).map(drop)))
    } else {
        Schema::of_script(&texts[0].1)
    };
    loaded.map_err(|error| {
        let text = error.to_string();
        let has_file = matches!(error.kind(), ErrorKind::Migration { .. } | ErrorKind::MigrationFile { .. });
        let problem = Problem::new(if has_file { text.clone() } else { format!("{}: {text}", name(source)) });
        if text.contains("no such module") || text.contains("no such function") {
            problem.help(
                "the SQLite that checks is finalite's own, without extensions: leave this out of the schema that is \
                 checked, and run what needs it by StatementKey::new or Connection::prepare",
            )
        } else {
            problem
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Problem, Schema, find, with};

    fn tables(schema: &Schema) -> Result<Vec<String>, Problem> {
        Ok(schema.names())
    }

    #[test]
    fn the_schema_is_beside_the_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let message = |chosen: Option<&str>| find(dir.path(), chosen).unwrap_err().render("");
        assert!(message(None).starts_with("no schema: there is neither schema.sql nor migrations/ in "));
        assert!(message(Some("db/all.sql")).starts_with("no schema: there is no db/all.sql in "));
        fs::create_dir(dir.path().join("migrations")).unwrap();
        assert_eq!(find(dir.path(), None).unwrap(), dir.path().join("migrations"));
        fs::write(dir.path().join("schema.sql"), "").unwrap();
        let text = message(None);
        assert!(text.starts_with("two schemas: both schema.sql and migrations/ are in "), "{text}");
        assert!(text.contains("sql!(schema = \"migrations\", \"SELECT ..\")"), "{text}");
        assert_eq!(find(dir.path(), Some("schema.sql")).unwrap(), dir.path().join("schema.sql"));
        fs::remove_dir(dir.path().join("migrations")).unwrap();
        assert_eq!(find(dir.path(), None).unwrap(), dir.path().join("schema.sql"));
    }

    /// As a server of an editor keeps the macro for long.
    #[test]
    fn a_file_that_changes_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("schema.sql");
        let path = file.to_str().unwrap();
        fs::write(&file, "CREATE TABLE a(x)").unwrap();
        let (files, first) = with(Some(path), tables);
        assert_eq!((files, first.unwrap()), (vec![file.clone()], vec!["a".to_owned()]));
        // The same connection, as it has a table of its own.
        with(Some(path), |schema| {
            schema.conn.execute_batch("CREATE TABLE trace(x)").map_err(|e| Problem::new(e.to_string()))
        })
        .1
        .unwrap();
        assert_eq!(with(Some(path), tables).1.unwrap(), ["a", "trace"]);
        fs::write(&file, "CREATE TABLE other(x)").unwrap();
        assert_eq!(with(Some(path), tables).1.unwrap(), ["other"]);
        fs::write(&file, "CREATE TABLE wrong(").unwrap();
        assert!(with(Some(path), tables).1.is_err());
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_its_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        assert!(with(Some(path), tables).1.unwrap_err().render("").contains("has no file .sql"));
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("0010_more.sql", "ALTER TABLE a RENAME TO b");
        fs::create_dir(dir.path().join("2_first")).unwrap();
        write("2_first/up.sql", "CREATE TABLE a(x)");
        write("2_first/down.sql", "DROP TABLE a");
        write("README.md", "no migration");
        let (files, found) = with(Some(path), tables);
        assert_eq!((files.len(), found.unwrap()), (3, vec!["b".to_owned()]));
        write("0011_last.sql", "CREATE VIEW v AS SELECT x FROM b");
        assert_eq!(with(Some(path), tables).1.unwrap(), ["b", "v"]);
        write("first.sql", "CREATE TABLE c(x)");
        let text = with(Some(path), tables).1.unwrap_err().render("");
        assert!(text.contains("first.sql") && text.contains("its name does not begin with a number"), "{text}");
    }
}
