//! Databases as schemas.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use datafusion_catalog::{SchemaProvider, TableProvider};
use datafusion_common::{DataFusionError, Result as PlanResult};
use finalite::OpenOptions;
use finalite::schema::TableKind;
use finalite_arrow::Options;

use crate::error::Result;
use crate::source::Opener;
use crate::table::SqliteTable;

/// The tables and views of a database file as a schema of DataFusion.
///
/// A query finds each table as it is at that time, also one that was created after the schema was opened. DataFusion
/// takes names in lower case unless they are in double quotes; SQLite finds tables in any case. The names of columns are
/// as they were declared.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use datafusion::prelude::SessionContext;
/// use finalite::Connection;
/// use finalite_datafusion::SqliteDatabase;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let directory = tempfile::tempdir()?;
/// let [shop, world] = ["shop.db", "world.db"].map(|name| directory.path().join(name));
/// Connection::open(&shop)?.execute_batch(
///     "CREATE TABLE sale(city INTEGER, price REAL); INSERT INTO sale VALUES (1, 9.5), (2, 0.5), (1, 3.0)",
/// )?;
/// Connection::open(&world)?.execute_batch(
///     "CREATE TABLE city(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO city VALUES (1, 'Ulm'), (2, 'Bonn')",
/// )?;
///
/// let ctx = SessionContext::new();
/// let catalog = ctx.catalog("datafusion").unwrap();
/// catalog.register_schema("shop", Arc::new(SqliteDatabase::open(&shop)?))?;
/// catalog.register_schema("world", Arc::new(SqliteDatabase::open(&world)?))?;
/// let sql = "SELECT name, sum(price) FROM shop.sale JOIN world.city ON city = id GROUP BY name";
/// let batches = ctx.sql(sql).await?.collect().await?;
/// assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteDatabase {
    opener: Opener,
    types: Options,
    names: RwLock<Vec<String>>,
}

impl SqliteDatabase {
    /// Opens a database file, by the default options.
    ///
    /// # Errors
    ///
    /// [`Error::Arrow`](crate::Error::Arrow) if there is no such file, or it is no database.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(OpenOptions::new(), path)
    }

    /// Opens a database file with options of its connections: see [`SqliteTable::new`].
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    pub fn new(options: OpenOptions, path: impl AsRef<Path>) -> Result<Self> {
        Self::with_types(options, Options::new(), path)
    }

    /// Opens a database file with the types of all its tables: see [`SqliteTable::with_types`].
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    pub fn with_types(options: OpenOptions, types: Options, path: impl AsRef<Path>) -> Result<Self> {
        let opener = Opener::new(options, path.as_ref());
        let names = RwLock::new(names(&opener)?);
        Ok(Self { opener, types, names })
    }

    /// Reads the names of tables and views that [`table_names`](SchemaProvider::table_names) lists, which are those at
    /// the time of opening otherwise.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    ///
    /// # Example
    ///
    /// ```
    /// use datafusion::catalog::SchemaProvider;
    /// use finalite::Connection;
    /// use finalite_datafusion::SqliteDatabase;
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("shop.db");
    /// let conn = Connection::open(&path)?;
    /// let database = SqliteDatabase::open(&path)?;
    /// conn.execute_batch("CREATE TABLE sale(price REAL); CREATE VIEW dear AS SELECT * FROM sale WHERE price > 5")?;
    /// assert!(database.table_names().is_empty());
    /// database.refresh()?;
    /// assert_eq!(database.table_names(), ["sale", "dear"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refresh(&self) -> Result<()> {
        let names = names(&self.opener)?;
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = names;
        Ok(())
    }
}

fn names(opener: &Opener) -> Result<Vec<String>> {
    let conn = opener.read()?;
    let schema = conn.schema_of("main");
    let tables = schema.tables()?.into_iter();
    let tables = tables.filter(|table| matches!(table.kind, TableKind::Ordinary | TableKind::Virtual));
    let views = schema.views()?.into_iter().map(|view| view.name);
    Ok(tables.map(|table| table.name).chain(views).map(String::from).collect())
}

#[async_trait]
impl SchemaProvider for SqliteDatabase {
    fn table_names(&self) -> Vec<String> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        let (opener, types, name): (_, _, Box<str>) = (self.opener.clone(), self.types.clone(), name.into());
        let opened = tokio::task::spawn_blocking(move || -> Result<_> {
            let conn = opener.read()?;
            let schema = conn.schema();
            if schema.table(&name)?.is_none() && schema.view(&name)?.is_none() {
                return Ok(None);
            }
            Ok(Some(SqliteTable::of(opener, types, &name)?))
        });
        let table = opened.await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
        Ok(table.map(|table| Arc::new(table) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.names.read().unwrap_or_else(PoisonError::into_inner).iter().any(|it| it.eq_ignore_ascii_case(name))
    }
}
