//! [`Dump`]: a database as the files that it consists of.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::error::{Error, ErrorKind, Result};
use crate::wire::Dumped;

/// A copy of a database at one moment: its file, and its write-ahead log, which has what the file lacks.
#[derive(Clone)]
pub struct Dump {
    database: Vec<u8>,
    wal: Vec<u8>,
}

impl Dump {
    pub(crate) fn new(name: &str, files: Vec<Dumped>) -> Result<Self> {
        let (mut database, mut wal) = (None, Vec::new());
        let wal_name = format!("{name}-wal");
        for file in files {
            if file.name == name {
                database = Some(file.bytes);
            } else if file.name == wal_name {
                wal = file.bytes;
            }
        }
        let database = database.ok_or_else(|| Error::protocol("a copy without the file of the database"))?;
        Ok(Self { database, wal })
    }

    /// Returns the bytes of the database's file.
    #[must_use]
    pub fn database(&self) -> &[u8] {
        &self.database
    }

    /// Returns the bytes of the write-ahead log.
    #[must_use]
    pub fn wal(&self) -> &[u8] {
        &self.wal
    }

    /// Writes both to files: `path`, and `path` with `-wal` behind it. A connection to the first reads both. If one cannot
    /// be written, neither is there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Output`], also if one of them exists.
    pub fn write_to(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let number = COPIES.fetch_add(1, Relaxed);
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let part = |end: &str| beside(&format!("{end}.{}-{number}.part", std::process::id()));
        let (wal, wal_part, path_part) = (beside("-wal"), part("-wal"), part(""));
        let result = write(&wal_part, &self.wal).and_then(|()| write(&path_part, &self.database)).and_then(|()| {
            // The log first: the file is never there without what belongs to it.
            place(&wal_part, &wal)?;
            place(&path_part, path).inspect_err(|_| {
                // Without its file, the log would be taken for that of another database.
                let _ = fs::remove_file(&wal);
            })
        });
        for part in [wal_part, path_part] {
            let _ = fs::remove_file(part);
        }
        result.map_err(|error| Error::new(ErrorKind::Output(error)))
    }
}

/// Numbers the temporary files.
static COPIES: AtomicU64 = AtomicU64::new(0);

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives a file, which is whole, its name. Fails if there is one of this name.
fn place(part: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(part, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.try_exists()? => {
            // A file system without links.
            fs::rename(part, path)
        }
        result => result,
    }
}

impl fmt::Debug for Dump {
    /// Shows the sizes in bytes, and no content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dump").field("database", &self.database.len()).field("wal", &self.wal.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<Dumped> {
        names.iter().map(|&name| Dumped { name: name.into(), bytes: name.as_bytes().to_vec() }).collect()
    }

    #[test]
    fn a_copy_is_of_the_files_of_its_database() {
        let dump = Dump::new("x-wal", files(&["x-wal", "x-wal-wal"])).unwrap();
        assert_eq!((dump.database(), dump.wal()), (&b"x-wal"[..], &b"x-wal-wal"[..]));
        assert_eq!(Dump::new("a", files(&["a"])).unwrap().wal(), b"");
        for names in [&[][..], &["a-wal"], &["b", "b-wal"]] {
            assert!(Dump::new("a", files(names)).is_err(), "{names:?}");
        }
    }

    #[test]
    fn a_copy_that_fails_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let names = || {
            let mut names: Vec<_> = fs::read_dir(&directory)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let dump = Dump::new("a", files(&["a", "a-wal"])).unwrap();
        let path = directory.path().join("copy");
        // One of the two is there, and stays as it is.
        for taken in ["copy", "copy-wal"] {
            fs::write(directory.path().join(taken), "another").unwrap();
            assert!(matches!(dump.write_to(&path).unwrap_err().kind(), ErrorKind::Output(_)));
            assert_eq!(names(), [taken]);
            assert_eq!(fs::read(directory.path().join(taken)).unwrap(), b"another");
            fs::remove_file(directory.path().join(taken)).unwrap();
        }
        // The place of a file that cannot be written.
        dump.write_to(directory.path().join("none").join("copy")).unwrap_err();
        assert!(names().is_empty());
        // The control.
        dump.write_to(&path).unwrap();
        assert_eq!(names(), ["copy", "copy-wal"]);
        assert_eq!(fs::read(path).unwrap(), b"a");
    }
}
