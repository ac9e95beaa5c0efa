//! Databases of a connection, and the files that it has open.

use std::ffi::{CStr, CString, c_int};
use std::{iter, mem, ptr};

use super::Db;
use crate::error::{Fault, FaultKind};
use crate::raw::file_control::IntControl;
use crate::raw::storage::Storage;
use crate::raw::{ffi, text};
use crate::track::open_files::{self, FileId, OpenFile};

/// File of a database of the connection, in the list of open files.
pub(super) struct NotedFile {
    /// Schema name.
    name: Box<CStr>,
    path: Box<CStr>,
    open: OpenFile,
}

impl Db {
    /// Lists the files that the connection has open. A connection in a child process must not have a file open that the
    /// parent had open at the fork: such a database is detached if it is an attached one, and an error is returned.
    pub(in crate::raw) fn note_files(&self) -> Result<(), Fault> {
        let mut before = self.files.take();
        let (mut open, mut inherited) = (Vec::new(), Vec::new());
        let databases = self.databases_with_files();
        self.info().set_paths(databases.iter().map(|(_, _, path)| path.clone()).collect());
        for (index, name, path) in databases {
            // A file that was noted may have been moved: its path no longer leads to it.
            if let Some(at) = before.iter().position(|noted| (&noted.name, &noted.path) == (&name, &path)) {
                open.push(before.swap_remove(at));
                continue;
            }
            let Some(file) = FileId::of(&path) else {
                continue;
            };
            if !open_files::was_inherited(file) {
                open.push(NotedFile { name, path, open: OpenFile::new(file) });
            } else if index == 0 {
                return Err(Fault::new(FaultKind::Forked));
            } else {
                inherited.push(name);
            }
        }
        *self.files.borrow_mut() = open;
        if inherited.is_empty() {
            return Ok(());
        }
        for name in inherited {
            if !self.detach(&name) {
                // The file would remain usable through this connection.
                self.disown_handle();
            }
        }
        Err(Fault::new(FaultKind::Forked))
    }

    /// Lets the files of a connection that is never closed remain in the list of open files.
    pub(super) fn leave_files_open(&self) {
        for noted in self.files.take() {
            mem::forget(noted.open);
        }
    }

    fn detach(&self, name: &CStr) -> bool {
        let quoted = name.to_bytes().iter().flat_map(|&byte| iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
        let sql: Vec<u8> = b"DETACH \"".iter().copied().chain(quoted).chain(*b"\"").collect();
        let Ok(sql) = CString::new(sql) else {
            return false;
        };
        let (db, sql, _charge) = (self.ptr.as_ptr(), sql.as_c_str(), self.account.charge());
        // SAFETY: `self` owns the connection, which no other call uses now (rule 19). The callers of `note_files` have
        // just opened or entered it, which stands for an entry here (rule 20). `sql` is a C string (rule 22); the
        // callback and the message pointer may be NULL (c3ref/exec.html).
        let code = unsafe { ffi::sqlite3_exec(db, sql.as_ptr(), None, ptr::null_mut(), ptr::null_mut()) };
        code == ffi::SQLITE_OK
    }

    /// Returns the absolute path of the main database; empty for an in-memory or temporary one.
    pub(crate) fn path(&self) -> &CStr {
        if self.is_closed() {
            return c"";
        }
        // SAFETY: `self` owns the connection, which is not closed (rule 19), and the call only reads memory (rule 20);
        // c3ref/db_filename.html: the default database is "main".
        let path = unsafe { ffi::sqlite3_db_filename(self.ptr.as_ptr(), c"main".as_ptr()) };
        if path.is_null() {
            return c"";
        }
        // SAFETY: not NULL here; NUL-terminated, and valid "until the database N is DETACH-ed or until the database
        // connection closes" (c3ref/db_filename.html): main cannot be detached, the result borrows `self`, and the
        // callers copy it at once (rules 19, 22).
        unsafe { CStr::from_ptr(path) }
    }

    /// Whether the path of the main database no longer refers to the open file; `false` if the VFS does not tell.
    pub(crate) fn has_moved(&self) -> Result<bool, Fault> {
        Ok(self.control_int(c"main", IntControl::HasMoved, 0)?.is_some_and(|has_moved| has_moved != 0))
    }

    /// Whether the main database is in memory or in a temporary file, so that other connections cannot open it by a
    /// file name. It may still be a shared in-memory database.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.path().is_empty() || Storage::new(self, 0).vfs_name() == Some(c"memdb")
    }

    /// Returns the absolute paths of all databases that have one: the main database and the attached ones.
    pub(crate) fn files(&self) -> Vec<Box<str>> {
        if self.is_closed() {
            return Vec::new();
        }
        self.databases_with_files().into_iter().map(|(_, _, path)| path.to_string_lossy().into()).collect()
    }

    /// Returns the names of all databases: `main`, `temp`, and the attached ones.
    pub(crate) fn database_names(&self) -> Vec<Box<str>> {
        if self.is_closed() {
            return Vec::new();
        }
        let names = (0..).map_while(|index| {
            // SAFETY: `self` owns the connection, which is not closed (rule 19), and the call only reads memory
            // (rule 20); c3ref/db_name.html: NULL "if N is out of range".
            let name = unsafe { ffi::sqlite3_db_name(self.ptr.as_ptr(), index) };
            // SAFETY: NULL, or NUL-terminated and valid until the schema changes; copied immediately (rule 22).
            unsafe { text::copy(name) }
        });
        names.collect()
    }

    /// Returns the index, the schema name and the absolute path of each database that has a file. The connection must
    /// not be closed.
    fn databases_with_files(&self) -> Vec<(c_int, Box<CStr>, Box<CStr>)> {
        let mut databases = Vec::new();
        for index in 0.. {
            // SAFETY: `self` owns the connection, which is not closed (rule 19), and the call only reads memory
            // (rule 20); c3ref/db_name.html: NULL "if N is out of range".
            let name = unsafe { ffi::sqlite3_db_name(self.ptr.as_ptr(), index) };
            if name.is_null() {
                break;
            }
            // SAFETY: the connection is not closed, as above (rules 19, 20); the name is its own, from the line above
            // (rule 22, c3ref/db_filename.html).
            let path = unsafe { ffi::sqlite3_db_filename(self.ptr.as_ptr(), name) };
            if path.is_null() {
                continue;
            }
            // SAFETY: not NULL here; NUL-terminated, and valid until the database is detached or the schema changes,
            // which no code does in this loop; copied here (rule 22, c3ref/db_name.html).
            let name = unsafe { CStr::from_ptr(name) };
            // SAFETY: not NULL here either, and valid as long as the name is; copied here (rule 22).
            let path = unsafe { CStr::from_ptr(path) };
            if !path.is_empty() {
                databases.push((index, name.into(), path.into()));
            }
        }
        databases
    }

    /// Returns whether a schema ("main", "temp" or an attached one) is read-only; `None` if there is no schema of that
    /// name.
    pub(crate) fn is_read_only(&self, schema: &CStr) -> Option<bool> {
        if self.is_closed() {
            return None;
        }
        // SAFETY: `self` owns the connection, which is not closed (rule 19), and the call only reads memory (rule 20);
        // `schema` is NUL-terminated (rule 22).
        match unsafe { ffi::sqlite3_db_readonly(self.ptr.as_ptr(), schema.as_ptr()) } {
            -1 => None,
            answer => Some(answer != 0),
        }
    }
}
