//! Migrations: versions of the schema, applied in order.

use std::fmt;

use crate::error::{Error, ErrorKind, MigrationProblem, Result};
use crate::{Connection, Transaction, TransactionBehavior, sql};

mod files;
mod history;
mod keys;
mod validate;

use history::History;
pub(super) use history::TABLE;
use keys::{ForeignKeysOff, Violations};

/// One step of the schema, from a version to the next.
///
/// # Example
///
/// ```
/// use finalite::data::Migration;
///
/// const USERS: Migration = Migration::new("users", "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT)")
///     .down("DROP TABLE users");
/// assert_eq!(USERS.name(), "users");
/// ```
#[derive(Clone, Copy)]
pub struct Migration<'a> {
    name: &'a str,
    file: Option<&'a str>,
    up: &'a str,
    down: Option<&'a str>,
    step: Option<Step>,
}

type Step = fn(&Transaction<'_>) -> Result<()>;

impl<'a> Migration<'a> {
    /// Creates a migration of a script. The name is for people: the order of the migrations decides.
    #[must_use]
    pub const fn new(name: &'a str, up: &'a str) -> Self {
        Self { name, file: None, up, down: None, step: None }
    }

    /// Creates a migration of the text of a file. Its name is that of the file without folder and extension; errors name
    /// the file. [`migrations!`](crate::migrations!) calls this.
    #[must_use]
    pub const fn from_file(file: &'a str, up: &'a str) -> Self {
        Self { name: file, file: Some(file), up, down: None, step: None }
    }

    /// Sets the script that takes the migration back.
    #[must_use]
    pub const fn down(self, down: &'a str) -> Self {
        Self { down: Some(down), ..self }
    }

    /// Sets a function that is run after the script, in the same transaction, for what SQL cannot express. A closure
    /// that captures nothing is one. The checksum does not cover it.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, data::{Migration, Migrations}};
    ///
    /// let migrations = Migrations::new([Migration::new("names", "CREATE TABLE names(a TEXT)").step(|tx| {
    ///     let mut insert = tx.prepare("INSERT INTO names VALUES (?)")?;
    ///     insert.execute_many(["Ada", "Grace"].map(|name| (name,))).map(drop)
    /// })]);
    /// let conn = Connection::open_in_memory()?;
    /// migrations.migrate(&conn)?;
    /// assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM names", ())?, 2);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[must_use]
    pub const fn step(self, step: fn(&Transaction<'_>) -> Result<()>) -> Self {
        Self { step: Some(step), ..self }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        if self.file.is_some() { files::name_of(self.name) } else { self.name }
    }

    /// Returns the error of this migration. What would stop any other statement, too, is returned as it is.
    fn problem(&self, version: usize, problem: MigrationProblem) -> Error {
        let problem = match problem {
            MigrationProblem::Failed(error) if is_of_any_statement(&error) => return error,
            problem => problem,
        };
        let file = self.file.map(Into::into);
        Error::new(ErrorKind::Migration { version: to_u32(version), name: self.name().into(), file, problem })
    }
}

/// Shows the names, and whether there are a script down and a function.
impl fmt::Debug for Migration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration")
            .field("name", &self.name())
            .field("file", &self.file)
            .field("has_down", &self.down.is_some())
            .field("has_step", &self.step.is_some())
            .finish_non_exhaustive()
    }
}

/// Compares names and scripts.
impl PartialEq for Migration<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.name(), self.up, self.down) == (other.name(), other.up, other.down)
    }
}

/// Migrations in their order. The version of a database is the number of them that were applied to it, which SQLite
/// keeps as its `user_version`.
///
/// Each migration runs in a transaction of its own, which takes the write lock at its start (`BEGIN IMMEDIATE`) and
/// stores the new version. One that fails leaves the database at the version before it. Of several processes that start
/// at the same time, one applies a migration and the others wait, for as long as their busy timeout, and then find it
/// applied. A database whose version is that of the program is only read.
///
/// **Foreign keys** are off during the migrations, as SQLite's
/// [procedure for altering tables](https://sqlite.org/lang_altertable.html#otheralter) requires: otherwise `DROP TABLE`
/// would delete the rows that refer to the table. If they were on, `PRAGMA foreign_key_check` runs before each commit. A
/// migration that adds a violation is an error; violations that were there before are not.
///
/// **Changes.** The table `finalite_migrations(version, name, checksum, applied_at)` has a row for each migration that
/// was applied. One whose script has changed since then is an error. Line endings and blanks at the end do not count, nor
/// does the script down.
///
/// **Other tools.** A database that `rusqlite_migration` has migrated has a `user_version` that means the same: given the
/// same migrations, finalite continues, and enters what was applied into its table. For one that another tool has
/// migrated, set `user_version` once.
///
/// A script cannot contain `BEGIN`, `COMMIT` and the like. Statements that do not run within a transaction, such as
/// `VACUUM`, are for the program to run afterwards.
///
/// # Example
///
/// ```
/// use finalite::{Connection, data::{Migration, Migrations}};
///
/// static MIGRATIONS: Migrations = Migrations::from_slice(&[
///     Migration::new("users", "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
///         .down("DROP TABLE users"),
///     Migration::new("email", "ALTER TABLE users ADD COLUMN email TEXT")
///         .down("ALTER TABLE users DROP COLUMN email"),
/// ]);
///
/// let conn = Connection::open_in_memory()?;
/// let report = MIGRATIONS.migrate(&conn)?;
/// assert_eq!((report.from, report.to), (0, 2));
/// conn.execute("INSERT INTO users(name, email) VALUES ('Ada', 'ada@example.com')", ())?;
///
/// assert!(MIGRATIONS.migrate(&conn)?.steps.is_empty()); // as each start of the program after the first
/// MIGRATIONS.migrate_to(&conn, 1)?; // takes `email` back
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// Scripts in files, which become part of the program: [`migrations!`](crate::migrations!),
/// [`from_files`](Self::from_files). A test that the scripts work: [`validate`](Self::validate).
#[doc(alias("user_version", "schema", "rusqlite_migration", "refinery"))]
pub struct Migrations(List);

enum List {
    Lent(&'static [Migration<'static>]),
    Owned(Vec<OwnedMigration>),
}

struct OwnedMigration {
    name: Box<str>,
    file: Option<Box<str>>,
    up: Box<str>,
    down: Option<Box<str>>,
    step: Option<Step>,
}

impl OwnedMigration {
    fn as_migration(&self) -> Migration<'_> {
        let Self { name, file, up, down, step } = self;
        Migration { name, file: file.as_deref(), up, down: down.as_deref(), step: *step }
    }
}

/// The steps that a call has made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigrationReport {
    /// Version of the database before the first step.
    pub from: u32,
    /// Version after the last one.
    pub to: u32,
    /// Steps, in their order.
    pub steps: Vec<MigrationStep>,
}

/// A step between two versions of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigrationStep {
    /// Version of the migration: 1 is the first.
    pub version: u32,
    /// Name of the migration.
    pub name: Box<str>,
    /// Whether the migration was taken back.
    pub is_down: bool,
}

impl Migrations {
    /// Creates a list of migrations, in their order.
    pub fn new<'a>(migrations: impl IntoIterator<Item = Migration<'a>>) -> Self {
        let owned = |migration: Migration<'a>| OwnedMigration {
            name: migration.name.into(),
            file: migration.file.map(Into::into),
            up: migration.up.into(),
            down: migration.down.map(Into::into),
            step: migration.step,
        };
        Self(List::Owned(migrations.into_iter().map(owned).collect()))
    }

    /// Creates a list of migrations, in their order, for a `const` or a `static`.
    #[must_use]
    pub const fn from_slice(migrations: &'static [Migration<'static>]) -> Self {
        Self(List::Lent(migrations))
    }

    /// Returns the migrations, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Migration<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Returns the number of migrations, which is the latest version.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            List::Lent(migrations) => migrations.len(),
            List::Owned(migrations) => migrations.len(),
        }
    }

    /// Whether there are no migrations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn get(&self, index: usize) -> Option<Migration<'_>> {
        match &self.0 {
            List::Lent(migrations) => migrations.get(index).copied(),
            List::Owned(migrations) => migrations.get(index).map(OwnedMigration::as_migration),
        }
    }

    /// Applies the migrations that the database lacks.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Migration`] for one that fails, that violates a foreign key, or whose script has changed since it
    ///   was applied. Those before it stay applied.
    /// - [`ErrorKind::NewerDatabase`] for a database that has more migrations than the program knows.
    /// - [`ErrorKind::MigrationHistory`] if `user_version` was changed by others.
    /// - [`ErrorKind::Misuse`] within a transaction.
    /// - `SQLITE_BUSY` if another connection held the write lock for longer than the busy timeout.
    /// - [`ErrorKind::NoMemory`], [`ErrorKind::Interrupted`], [`ErrorKind::Deadline`], [`ErrorKind::QueryLimit`] of a
    ///   statement.
    #[track_caller]
    pub fn migrate(&self, conn: &Connection) -> Result<MigrationReport> {
        self.run(conn, self.len())
    }

    /// Applies migrations, or takes them back by their scripts down, until the database has this version: 0 is before
    /// the first migration.
    ///
    /// # Errors
    ///
    /// Those of [`migrate`](Self::migrate). [`ErrorKind::Migration`] for a migration to be taken back that has no script
    /// down; then nothing was done. [`ErrorKind::Misuse`] for a version beyond the last.
    #[track_caller]
    pub fn migrate_to(&self, conn: &Connection, version: u32) -> Result<MigrationReport> {
        match usize::try_from(version) {
            Ok(version) if version <= self.len() => self.run(conn, version),
            _ => Err(Error::new(ErrorKind::Misuse { reason: "there is no migration of this version" })),
        }
    }

    /// Returns the steps that [`migrate`](Self::migrate) would make, without writing.
    ///
    /// # Errors
    ///
    /// Those of [`migrate`](Self::migrate) about the state of the database.
    pub fn pending(&self, conn: &Connection) -> Result<Vec<MigrationStep>> {
        let version = History::look(conn)?.check(self)?;
        Ok((version + 1..=self.len()).filter_map(|version| self.step_to(version, false)).collect())
    }

    /// Applies the migrations that the database lacks in one transaction, and rolls it back. The write lock is held
    /// during it.
    ///
    /// # Errors
    ///
    /// Those that [`migrate`](Self::migrate) would return.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, data::{Migration, Migrations}};
    ///
    /// let migrations = Migrations::new([
    ///     Migration::new("users", "CREATE TABLE users(id INTEGER PRIMARY KEY)"),
    ///     Migration::new("email", "ALTER TABLE user ADD COLUMN email TEXT"),
    /// ]);
    /// let conn = Connection::open_in_memory()?;
    /// let error = migrations.dry_run(&conn).unwrap_err();
    /// assert!(error.to_string().starts_with("migration 2 (email): no such table: user, at line 1, column 1"));
    /// assert!(!conn.table_exists(None, "users")?);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn dry_run(&self, conn: &Connection) -> Result<MigrationReport> {
        let keys = ForeignKeysOff::set(conn)?;
        let tx = conn.unchecked_transaction_with(TransactionBehavior::Immediate)?;
        let mut history = History::read(conn)?;
        let from = history.check(self)?;
        let mut violations = keys.violations()?;
        let mut steps = Vec::new();
        for version in from + 1..=self.len() {
            steps.extend(self.apply(&tx, &mut history, version, false, &mut violations)?);
        }
        tx.rollback()?;
        Ok(MigrationReport { from: to_u32(from), to: to_u32(self.len()), steps })
    }

    #[track_caller]
    fn run(&self, conn: &Connection, target: usize) -> Result<MigrationReport> {
        let history = History::look(conn)?;
        let from = history.check(self)?;
        let mut report = MigrationReport { from: to_u32(from), to: to_u32(from), steps: Vec::new() };
        let is_recorded = history.is_complete() || conn.is_readonly("main") == Some(true);
        if from == target && is_recorded {
            return Ok(report);
        }
        let keys = ForeignKeysOff::set(conn)?;
        let mut violations = None;
        loop {
            let tx = conn.unchecked_transaction_with(TransactionBehavior::Immediate)?;
            // Another connection may have migrated before this one got the lock.
            let mut history = History::read(conn)?;
            let version = history.check(self)?;
            for taken_back in (target + 1..=version).rev() {
                if let Some(migration) = self.get(taken_back - 1).filter(|migration| migration.down.is_none()) {
                    return Err(migration.problem(taken_back, MigrationProblem::NoDown));
                }
            }
            if report.steps.is_empty() {
                report.from = to_u32(version);
            }
            report.to = to_u32(version);
            if version == target {
                if !history.is_complete() {
                    history.record(conn, self)?;
                }
                tx.commit()?;
                return Ok(report);
            }
            if violations.is_none() {
                violations = Some(keys.violations()?);
            }
            let before = violations.get_or_insert_with(Violations::unknown);
            let is_down = version > target;
            let step = self.apply(&tx, &mut history, if is_down { version } else { version + 1 }, is_down, before)?;
            tx.commit()?;
            report.to = to_u32(if is_down { version - 1 } else { version + 1 });
            report.steps.extend(step);
            let (connection, name) = conn.identity();
            if let Some(MigrationStep { version, name: migration, is_down }) = report.steps.last() {
                tracing::debug!(target: "finalite::migration", version, migration = &**migration, is_down, connection, name, "migrated");
            }
        }
    }

    /// Applies one migration, or takes it back, within a transaction.
    fn apply(
        &self,
        tx: &Transaction<'_>,
        history: &mut History,
        version: usize,
        is_down: bool,
        violations: &mut Violations,
    ) -> Result<Option<MigrationStep>> {
        let Some(migration) = self.get(version - 1) else {
            return Ok(None);
        };
        let script = if is_down { migration.down.unwrap_or_default() } else { migration.up };
        let failed = |problem| migration.problem(version, problem);
        run_script(tx, script).map_err(failed)?;
        if let Some(step) = migration.step.filter(|_| !is_down) {
            step(tx).map_err(|error| failed(MigrationProblem::Failed(error)))?;
        }
        violations.compare(tx).map_err(failed)?;
        history.version = if is_down { version - 1 } else { version };
        history.record(tx, self)?;
        Ok(self.step_to(version, is_down))
    }

    fn step_to(&self, version: usize, is_down: bool) -> Option<MigrationStep> {
        let name = self.get(version - 1)?.name().into();
        Some(MigrationStep { version: to_u32(version), name, is_down })
    }
}

impl fmt::Debug for Migrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Compares names and scripts.
impl PartialEq for Migrations {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// Runs a script within the transaction of a migration, which it may not end.
fn run_script(conn: &Connection, text: &str) -> Result<(), MigrationProblem> {
    let mut script = conn.script(text);
    loop {
        if let Some(keyword) = transaction_keyword(script.rest()) {
            let (line, column) = sql::line_and_column(text, text.len() - script.rest().len());
            return Err(MigrationProblem::TransactionControl { keyword, line, column });
        }
        match script.next_statement().map_err(MigrationProblem::Failed)? {
            None => return Ok(()),
            Some(mut statement) => {
                if let Err(error) = statement.execute(()) {
                    drop(statement);
                    return Err(MigrationProblem::Failed(script.locate(error)));
                }
            }
        }
    }
}

/// Returns the keyword of a statement that begins or ends a transaction.
fn transaction_keyword(statement: &str) -> Option<&'static str> {
    let keyword = ["BEGIN", "COMMIT", "END", "ROLLBACK"];
    let keyword = keyword.into_iter().find(|keyword| sql::starts_with_keyword(statement, keyword))?;
    let mut rest = &statement[keyword.len()..];
    if sql::starts_with_keyword(rest, "TRANSACTION") {
        rest = &sql::skip_blank(rest)["TRANSACTION".len()..];
    }
    // A savepoint of the script itself.
    let is_of_savepoint = keyword == "ROLLBACK" && sql::starts_with_keyword(rest, "TO");
    (!is_of_savepoint).then_some(keyword)
}

fn is_of_any_statement(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NoMemory { .. } | ErrorKind::Interrupted | ErrorKind::Deadline { .. } | ErrorKind::QueryLimit { .. }
    )
}

fn to_u32(version: usize) -> u32 {
    u32::try_from(version).unwrap_or(u32::MAX)
}

/// Creates [`Migrations`](crate::data::Migrations) of files, whose texts become part of the program. Paths are relative
/// to the file that contains the macro, as those of `include_str!`. A file is followed by the one that takes it back, if
/// there is one:
///
/// ```ignore
/// use finalite::{data::Migrations, migrations};
///
/// static MIGRATIONS: Migrations = migrations![
///     "../migrations/0001_users.sql",
///     "../migrations/0002_posts.sql" down "../migrations/0002_posts.down.sql",
/// ];
/// ```
///
/// The order in the list decides, and a file that is not listed is not applied. A test finds one:
///
/// ```ignore
/// #[test]
/// fn all_migrations_are_listed() {
///     let folder = std::fs::read_dir("migrations").unwrap();
///     let files = folder.map(|entry| {
///         let path = entry.unwrap().path();
///         (path.to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
///     });
///     assert_eq!(MIGRATIONS, Migrations::from_files(files).unwrap());
///     MIGRATIONS.validate().unwrap();
/// }
/// ```
#[macro_export]
macro_rules! migrations {
    ($($up:literal $(down $down:literal)?),* $(,)?) => {
        $crate::data::Migrations::from_slice(&[
            $($crate::data::Migration::from_file($up, ::core::include_str!($up))$(.down(::core::include_str!($down)))?),*
        ])
    };
}
