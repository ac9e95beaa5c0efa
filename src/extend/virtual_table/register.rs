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
    /// A module of the same name is replaced, for tables that are connected later. SQLite's own modules, such as `rtree`,
    /// can be replaced, too, but for `fts5`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a name that is empty or contains a NUL, for `fts5`, and within a callback;
    /// [`ErrorKind::NoMemory`].
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
    /// # Example
    ///
    /// See [`create_transactional_module`](Self::create_transactional_module), whose tables can do more.
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
    /// # Example
    ///
    /// ```
    /// use std::cell::RefCell;
    /// use finalite::Connection;
    /// use finalite::extend::{CallbackError, virtual_table::*};
    ///
    /// /// A list of texts, whose rowids are their places. Deleting leaves a gap.
    /// #[derive(Default)]
    /// struct Texts {
    ///     texts: RefCell<Vec<Option<String>>>,
    ///     before: RefCell<Vec<Option<String>>>,
    /// }
    ///
    /// struct Place<'t>(&'t Texts, usize);
    ///
    /// impl Place<'_> {
    ///     /// Goes to the next text from here on.
    ///     fn seek(&mut self) -> bool {
    ///         let texts = self.0.texts.borrow();
    ///         self.1 += texts.iter().skip(self.1).take_while(|text| text.is_none()).count();
    ///         self.1 < texts.len()
    ///     }
    /// }
    ///
    /// impl VirtualTable for Texts {
    ///     type Shared = ();
    ///     type Cursor<'t> = Place<'t>;
    ///
    ///     fn connect(_: &(), _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
    ///         Ok(Declared::new("CREATE TABLE x(text TEXT)", Self::default()))
    ///     }
    ///
    ///     fn open(&self, _: &Self::Shared) -> Result<Place<'_>, CallbackError> {
    ///         Ok(Place(self, 0))
    ///     }
    /// }
    ///
    /// impl TableCursor for Place<'_> {
    ///     fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
    ///         self.1 = 0;
    ///         Ok(self.seek())
    ///     }
    ///
    ///     fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
    ///         self.1 += 1;
    ///         Ok(self.seek())
    ///     }
    ///
    ///     fn column(&self, _: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
    ///         cell.set(self.0.texts.borrow()[self.1].as_deref())
    ///     }
    ///
    ///     fn rowid(&self) -> Result<i64, CallbackError> {
    ///         Ok(self.1.try_into()?)
    ///     }
    /// }
    ///
    /// impl WritableTable for Texts {
    ///     fn insert(&self, row: &NewRow<'_>) -> Result<i64, CallbackError> {
    ///         if row.rowid()?.is_some() {
    ///             return Err("the table chooses the rowid".into());
    ///         }
    ///         let mut texts = self.texts.borrow_mut();
    ///         texts.push(row.get(0)?);
    ///         Ok((texts.len() - 1).try_into()?)
    ///     }
    ///
    ///     fn update(&self, old: &OldRow<'_>, row: &NewRow<'_>) -> Result<(), CallbackError> {
    ///         self.texts.borrow_mut()[usize::try_from(old.rowid()?)?] = row.get(0)?;
    ///         Ok(())
    ///     }
    ///
    ///     fn delete(&self, old: &OldRow<'_>) -> Result<(), CallbackError> {
    ///         self.texts.borrow_mut()[usize::try_from(old.rowid()?)?] = None;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// impl TransactionalTable for Texts {
    ///     fn begin(&self) -> Result<(), CallbackError> {
    ///         *self.before.borrow_mut() = self.texts.borrow().clone();
    ///         Ok(())
    ///     }
    ///
    ///     fn commit(&self) {}
    ///
    ///     fn rollback(&self) {
    ///         *self.texts.borrow_mut() = self.before.take();
    ///     }
    /// }
    ///
    /// let mut conn = Connection::open_in_memory()?;
    /// conn.create_transactional_module::<Texts>("texts", ())?;
    /// conn.execute_batch("CREATE VIRTUAL TABLE note USING texts; INSERT INTO note VALUES ('one'), ('two')")?;
    /// let tx = conn.transaction()?;
    /// assert_eq!(tx.execute("DELETE FROM note WHERE text = 'one'", ())?, 1);
    /// assert_eq!(tx.query_all::<String>("SELECT text FROM note", ())?, ["two"]);
    /// tx.rollback()?;
    /// assert_eq!(conn.execute("UPDATE note SET text = text || '!' WHERE rowid = 1", ())?, 1);
    /// assert_eq!(conn.query_all::<String>("SELECT text FROM note", ())?, ["one", "two!"]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
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
            Ok(name) => {
                self.forget_tables();
                register(&name).map_err(|fault| self.error(fault))
            }
        }
    }

    /// Removes the module with this name, of the program or of SQLite, for tables that are connected later. Tables that
    /// are connected go on. Without such a module, nothing is done.
    ///
    /// That of full-text search, `fts5`, cannot be removed: its SQL functions would read memory that SQLite has freed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for `fts5`, and within a callback; [`ErrorKind::NoMemory`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE VIRTUAL TABLE a USING rtree(id, low, high)", ())?;
    /// conn.remove_module("rtree")?;
    /// conn.execute("INSERT INTO a VALUES (1, 0, 2)", ())?;
    /// let error = conn.execute("CREATE VIRTUAL TABLE b USING rtree(id, low, high)", ()).unwrap_err();
    /// assert!(error.to_string().starts_with("no such module: rtree"));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_create_module_v2](https://sqlite.org/c3ref/create_module.html)
    pub fn remove_module(&self, name: &str) -> Result<()> {
        let Ok(name) = CString::new(name) else {
            return Ok(());
        };
        self.forget_tables();
        self.db().remove_module(&name).map_err(|fault| self.error(fault))
    }

    /// Removes all modules but those with these names, as [`remove_module`](Self::remove_module) does one: those of
    /// SQLite, too, but for `fts5`, which stays. Names are compared byte by byte with those that were registered.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] within a callback; [`ErrorKind::NoMemory`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.retain_modules(&["rtree"])?;
    /// assert!(conn.execute("CREATE VIRTUAL TABLE a USING rtree_i32(id, low, high)", ()).is_err());
    /// conn.execute("CREATE VIRTUAL TABLE b USING rtree(id, low, high)", ())?;
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_drop_modules](https://sqlite.org/c3ref/drop_modules.html)
    pub fn retain_modules(&self, names: &[&str]) -> Result<()> {
        let names: Vec<CString> = names.iter().filter_map(|&name| CString::new(name).ok()).collect();
        self.forget_tables();
        self.db().retain_modules(&names).map_err(|fault| self.error(fault))
    }

    /// Ends the statements of the cache: one that is prepared keeps the eponymous table that it has found, so that the
    /// same SQL would go on to read a module that is replaced or removed.
    fn forget_tables(&self) {
        self.clear_statement_cache();
    }
}
