//! Migrations of files: names, order, and which file takes which back.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{List, Migrations, OwnedMigration};
use crate::error::{Error, ErrorKind, Result};

impl Migrations {
    /// Creates a list of migrations of files, given by path and text, in the order of the numbers that their names begin
    /// with. Files that do not end in `.sql` are ignored.
    ///
    /// | file | |
    /// |---|---|
    /// | `0001_users.sql`, `0001_users.up.sql`, `V1__users.sql` | a migration |
    /// | `0001_users.down.sql` | the script that takes it back |
    /// | `0001_users/up.sql`, `0001_users/down.sql` | the same in a folder |
    ///
    /// Numbers may leave gaps, and may be dates: the version of a database counts the migrations. A new one must have
    /// the largest number.
    ///
    /// The files may come from the file system at run time, or from crates that make a folder a part of the program,
    /// such as `include_dir`. finalite reads no file by itself, since it cannot know whether one is a database that
    /// SQLite has open.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MigrationFile`] for a file whose name does not begin with a number, two files for one purpose, and a
    /// script down without its migration.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, data::Migrations};
    ///
    /// # let folder = std::env::temp_dir().join(format!("finalite-migrations-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # std::fs::write(folder.join("0001_users.sql"), "CREATE TABLE users(id INTEGER PRIMARY KEY)")?;
    /// let mut files = Vec::new();
    /// for entry in std::fs::read_dir(&folder)? {
    ///     let path = entry?.path();
    ///     files.push((path.to_string_lossy().into_owned(), std::fs::read_to_string(&path)?));
    /// }
    /// let migrations = Migrations::from_files(files)?;
    /// let conn = Connection::open_in_memory()?;
    /// assert_eq!(&*migrations.migrate(&conn)?.steps[0].name, "0001_users");
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_files<P: AsRef<str>, T: AsRef<str>>(files: impl IntoIterator<Item = (P, T)>) -> Result<Self> {
        /// Text of a migration, and that of its script down, each with its path.
        #[derive(Default)]
        struct Texts([Option<(Box<str>, Box<str>)>; 2]);

        let mut numbered: BTreeMap<u64, Texts> = BTreeMap::new();
        for (path, text) in files {
            let path = path.as_ref();
            let Some(script) = Script::parse(path) else {
                continue;
            };
            let problem = |reason| Error::new(ErrorKind::MigrationFile { file: path.into(), reason });
            let number = script.number.ok_or_else(|| problem("its name does not begin with a number"))?;
            let texts = match numbered.entry(number) {
                Entry::Vacant(vacant) => vacant.insert(Texts::default()),
                Entry::Occupied(occupied) => occupied.into_mut(),
            };
            let place = &mut texts.0[usize::from(script.is_down)];
            if place.is_some() {
                return Err(problem("another file has the same number"));
            }
            *place = Some((path.into(), text.as_ref().into()));
        }
        let owned = numbered.into_values().map(|Texts([up, down])| match (up, down) {
            (Some((file, up)), down) => {
                let down = down.map(|(_, text)| text);
                Ok(OwnedMigration { name: file.clone(), file: Some(file), up, down, step: None })
            }
            (None, Some((file, _))) => {
                let reason = "there is no migration of this number that it takes back";
                Err(Error::new(ErrorKind::MigrationFile { file, reason }))
            }
            (None, None) => Err(Error::new(ErrorKind::Misuse { reason: "a number without a file" })),
        });
        Ok(Self(List::Owned(owned.collect::<Result<_>>()?)))
    }
}

/// Number and purpose of a file, by its path.
struct Script {
    number: Option<u64>,
    is_down: bool,
}

impl Script {
    /// `None` for a file that is no script.
    fn parse(path: &str) -> Option<Self> {
        let (_, is_down) = stem(path)?;
        let name = name_of(path);
        let digits = name.strip_prefix(['V', 'v']).unwrap_or(name);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        Some(Self { number: digits[..end].parse().ok(), is_down })
    }
}

/// Returns the name of a migration: that of the file without folder and extension, or that of the folder of a file that
/// is only called `up.sql`.
pub(super) fn name_of(path: &str) -> &str {
    let (name, _) = stem(path).unwrap_or((path, false));
    name
}

/// Returns the name of the migration that a path belongs to, and whether the file takes it back.
fn stem(path: &str) -> Option<(&str, bool)> {
    let (folder, file) = path.rsplit_once(['/', '\\']).unwrap_or(("", path));
    let stem = file.strip_suffix(".sql")?;
    let folder = folder.rsplit(['/', '\\']).next().unwrap_or(folder);
    Some(match stem {
        "up" => (folder, false),
        "down" => (folder, true),
        _ => match stem.strip_suffix(".down") {
            Some(stem) => (stem, true),
            None => (stem.strip_suffix(".up").unwrap_or(stem), false),
        },
    })
}
