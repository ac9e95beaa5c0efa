//! [`Dump`]: a database as the files that it consists of.

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::wire::Dumped;

/// A copy of a database at one moment: its file, and its write-ahead log, which has what the file lacks.
#[derive(Clone)]
pub struct Dump {
    database: Vec<u8>,
    wal: Vec<u8>,
}

impl Dump {
    pub(crate) fn new(files: Vec<Dumped>) -> Self {
        let (mut database, mut wal) = (Vec::new(), Vec::new());
        for file in files {
            if file.name.ends_with("-wal") {
                wal = file.bytes;
            } else {
                database = file.bytes;
            }
        }
        Self { database, wal }
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

    /// Writes both to files: `path`, and `path` with `-wal` behind it. A connection to the first reads both.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Output`], also if one of them exists.
    pub fn write_to(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        let write = |path: &Path, bytes: &[u8]| {
            let mut file = File::options().write(true).create_new(true).open(path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        let failed = |error| Error::new(ErrorKind::Output(error));
        // The log first: the file is never there without what belongs to it.
        write(wal.as_ref(), &self.wal).map_err(failed)?;
        write(path, &self.database).map_err(|error| {
            // Without its file, the log would be taken for that of another database.
            let _ = fs::remove_file(&wal);
            failed(error)
        })
    }
}

impl fmt::Debug for Dump {
    /// Shows the sizes in bytes, and no content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dump").field("database", &self.database.len()).field("wal", &self.wal.len()).finish()
    }
}
