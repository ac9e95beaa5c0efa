//! Registering and removing modules.

use std::ffi::{CStr, CString};
use std::panic::Location;

use super::{TransactionalTable, VirtualTable, WritableTable};
use crate::Connection;
use crate::error::{Error, ErrorKind, Fault, Result};

impl Connection {
    /// Registers a module of [virtual tables](crate::extend::virtual_table) that are read. `shared` is what its tables
    /// have in common.
    ///
    /// A module of the same name is replaced, for tables that are connected later. SQLite's own modules, such as `fts5`,
    /// can be replaced, too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a name that is empty or contains a NUL, and within a callback; [`ErrorKind::NoMemory`].
    ///
    /// # Example
    ///
    /// See [`virtual_table`](crate::extend::virtual_table).
    ///
    /// C: [sqlite3_create_module_v2](https://sqlite.org/c3ref/create_module.html)
    #[track_caller]
    #[doc(alias("vtab", "virtual table"))]
    pub fn create_module<T: VirtualTable>(&self, name: &str, shared: T::Shared) -> Result<()> {
        let site = Location::caller();
        self.register_module(name, |name| self.db().create_module::<T>(name, shared, site))
    }

    /// Registers a module of virtual tables that are written.
    ///
    /// # Errors
    ///
    /// See [`create_module`](Self::create_module).
    ///
    /// C: [sqlite3_create_module_v2](https://sqlite.org/c3ref/create_module.html)
    #[track_caller]
    pub fn create_writable_module<T: WritableTable>(&self, name: &str, shared: T::Shared) -> Result<()> {
        let site = Location::caller();
        self.register_module(name, |name| self.db().create_writable_module::<T>(name, shared, site))
    }

    /// Registers a module of virtual tables that take part in transactions.
    ///
    /// # Errors
    ///
    /// See [`create_module`](Self::create_module).
    ///
    /// C: [sqlite3_create_module_v2](https://sqlite.org/c3ref/create_module.html)
    #[track_caller]
    pub fn create_transactional_module<T: TransactionalTable>(&self, name: &str, shared: T::Shared) -> Result<()> {
        let site = Location::caller();
        self.register_module(name, |name| self.db().create_transactional_module::<T>(name, shared, site))
    }

    fn register_module(
        &self,
        name: &str,
        register: impl FnOnce(&CStr) -> std::result::Result<(), Fault>,
    ) -> Result<()> {
        let misuse = |reason| Err(Error::new(ErrorKind::Misuse { reason }));
        match CString::new(name) {
            Err(_) => misuse("the name of the module contains a NUL character"),
            Ok(_) if name.is_empty() => misuse("the name of the module is empty"),
            Ok(name) => register(&name).map_err(|fault| self.error(fault)),
        }
    }

    /// Removes the module with this name, of the program or of SQLite, for tables that are connected later. Tables that
    /// are connected go on. Without such a module, nothing is done.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] within a callback; [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3_create_module_v2](https://sqlite.org/c3ref/create_module.html)
    pub fn remove_module(&self, name: &str) -> Result<()> {
        let Ok(name) = CString::new(name) else {
            return Ok(());
        };
        self.db().remove_module(&name).map_err(|fault| self.error(fault))
    }

    /// Removes all modules but those with these names, as [`remove_module`](Self::remove_module) does one: those of
    /// SQLite, too. Names are compared byte by byte with those that were registered.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] within a callback; [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3_drop_modules](https://sqlite.org/c3ref/drop_modules.html)
    pub fn retain_modules(&self, names: &[&str]) -> Result<()> {
        let names: Vec<CString> = names.iter().filter_map(|&name| CString::new(name).ok()).collect();
        self.db().retain_modules(&names).map_err(|fault| self.error(fault))
    }
}
