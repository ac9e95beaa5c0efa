//! The names of rusqlite, sqlx and diesel beside finalite's, and the differences in behaviour.
//!
//! Nothing prevents both drivers in one program while it moves: they share one SQLite (the README has the versions),
//! and [`Connection::from_raw`](crate::Connection::from_raw) takes over a handle that another driver opened.
//!
//! # rusqlite
//!
//! Most calls are written the same, apart from the names below. Parameters (`[]`, tuples,
//! [`params!`](crate::params!), [`named_params!`](crate::named_params!),
//! [`params_from_iter`](crate::params_from_iter)) and closures over [`Row`](crate::Row) are written the same.
//!
//! | rusqlite | finalite |
//! |---|---|
//! | `Connection::open`, `open_in_memory` | the same; a path that begins with `file:` needs [`OpenOptions::uri`](crate::OpenOptions::uri) |
//! | `Connection::open_with_flags` | [`OpenOptions`](crate::OpenOptions) |
//! | `execute`, `execute_batch`, `prepare`, `prepare_cached`, `query_row`, `query_one` | the same |
//! | a `Statement` in a struct, with `self_cell` | [`StatementKey`](crate::StatementKey) |
//! | `query_map`, `query_and_then`, `exists` | the same, also of the connection; [`query_as`](crate::Connection::query_as) needs no closure |
//! | `row.get::<_, T>(0)` | [`row.get::<T>(0)`](crate::Row::get) |
//! | `row.get_ref` | [`Row::value`](crate::Row::value), or `row.get::<&str>` |
//! | `OptionalExtension::optional` | [the same](crate::OptionalExtension), or [`query_optional`](crate::Connection::query_optional) |
//! | `FromSql::column_result`, `ToSql::to_sql` | [`FromSql::from_sql`](crate::FromSql::from_sql), [`ToSql::to_sql`](crate::ToSql::to_sql) |
//! | `types::Value`, `ValueRef`, `Null` | [`Value`](crate::Value), [`ValueRef`](crate::ValueRef), `None::<i64>` |
//! | `transaction`, `transaction_with_behavior`, `unchecked_transaction`, `savepoint` | the same, [`transaction_with`](crate::Connection::transaction_with) |
//! | `pragma_query_value`, `pragma_update` | [`Connection::pragma`](crate::Connection::pragma), [`set_pragma`](crate::Connection::set_pragma), which reads the value back |
//! | `busy_timeout`, `get_interrupt_handle` | [`set_busy_timeout`](crate::Connection::set_busy_timeout), [`interrupt_handle`](crate::Connection::interrupt_handle) |
//! | `busy_handler` | [`set_busy_handler`](crate::Connection::set_busy_handler), beside the timeout |
//! | `update_hook`, `commit_hook`, `rollback_hook`, `wal_hook` | [`on_update`](crate::Connection::on_update), [`on_commit`](crate::Connection::on_commit), [`on_rollback`](crate::Connection::on_rollback), [`on_wal`](crate::Connection::on_wal): several closures each, until their [`Subscription`](crate::extend::Subscription) is dropped |
//! | `progress_handler` that looks at a clock | [`deadline`](crate::Connection::deadline), [`limit_queries`](crate::Connection::limit_queries) |
//! | `progress_handler`, `trace_v2`, `authorizer` | [`on_progress`](crate::Connection::on_progress), [`on_trace`](crate::Connection::on_trace), [`set_authorizer`](crate::Connection::set_authorizer) |
//! | `Error::SqliteFailure(e, _)`, `e.extended_code` | [`Error::code`](crate::Error::code), [`ResultCode`](crate::ResultCode) |
//! | `Error::QueryReturnedNoRows` | [`Error::is_no_rows`](crate::Error::is_no_rows), [`Error::no_rows`](crate::Error::no_rows) |
//! | `create_scalar_function(name, n, flags, \|ctx\| …)` | [`create_scalar_function(name, \|a: &str, b: i64\| …)`](crate::Connection::create_scalar_function), or [`create_scalar_function_with`](crate::Connection::create_scalar_function_with); the text of a `&str` argument is not copied |
//! | `FunctionFlags::SQLITE_DETERMINISTIC`, `ctx.get_or_create_aux` | [`extend::deterministic`](crate::extend::deterministic), [`FunctionContext::auxiliary`](crate::extend::FunctionContext::auxiliary) |
//! | `Aggregate`, `WindowAggregate` | [`extend::aggregate`](crate::extend::aggregate()) and [`extend::window`](crate::extend::window()) of closures, or [`AggregateFunction`](crate::extend::AggregateFunction), [`WindowFunction`](crate::extend::WindowFunction) |
//! | `create_collation`, `collation_needed` | [`create_collation`](crate::Connection::create_collation), [`on_collation_needed`](crate::Connection::on_collation_needed), a closure |
//! | features `chrono`, `time`, `jiff`, `uuid`, `url`, `serde_json` | the same names; [formats of dates](crate::convert#dates-and-times) |
//! | feature `i128_blob` | [`convert::IntegerBlob`](crate::convert::IntegerBlob) |
//! | `blob_open(MAIN_DB, "t", "a", id, true)`, `ZeroBlob` | [`blob(("t", "a", id), Access::ReadOnly)`](crate::Connection::blob), [`BlobAddress::in_database`](crate::data::BlobAddress::in_database) for others, [`ZeroBlob`](crate::ZeroBlob) |
//! | `Blob::read_at`, `raw_read_at`, `write_at` | [`Blob::read_at`](crate::data::Blob::read_at) and [`write_at`](crate::data::Blob::write_at), all or nothing |
//! | `Connection::backup`, `restore` | [`backup_to`](crate::Connection::backup_to), [`restore_from`](crate::Connection::restore_from) |
//! | `Backup::new(&src, &mut dst)`, `run_to_completion` | [`Backup::new(&src, dst)`](crate::data::Backup::new), which owns the destination and [returns](crate::data::Backup::finish) it; [`Backup::run`](crate::data::Backup::run) with a [`BackupPacing`](crate::data::BackupPacing) |
//! | `serialize`, `deserialize`, `deserialize_bytes` | [`serialize`](crate::Connection::serialize), [`Connection::deserialize`](crate::Connection::deserialize) and [`deserialize_static`](crate::Connection::deserialize_static), which open a connection, [`deserialize_into`](crate::Connection::deserialize_into) |
//! | `table_exists`, `column_exists`, `column_metadata` | [`table_exists`](crate::Connection::table_exists) and [`column_exists`](crate::Connection::column_exists), the database first, as an `Option`; they see tables of other connections at once. [`schema`](crate::Connection::schema) for the rest |
//! | `set_db_config`, `set_limit` against strangers | [`OpenOptions::untrusted`](crate::OpenOptions::untrusted) |
//! | `Error::UserFunctionError` | [`ErrorKind::Function`](crate::ErrorKind::Function), with the error as its source |
//! | `limit`, `set_limit`, `db_config`, `set_db_config` | [`limit`](crate::Connection::limit), [`set_limit`](crate::Connection::set_limit), [`scoped_limit`](crate::Connection::scoped_limit), [`db_config`](crate::Connection::db_config), [`set_db_config`](crate::Connection::set_db_config) |
//! | `transaction_state`, `wal_checkpoint_v2` | [`transaction_state`](crate::Connection::transaction_state), [`checkpoint`](crate::Connection::checkpoint) |
//! | `handle()` and FTS5's pointers from `SELECT fts5(?1)` | [`create_tokenizer`](crate::Connection::create_tokenizer), [`create_fts_function`](crate::Connection::create_fts_function) |
//! | `vtab::array::load_module`, `rarray(?)` of an `Rc<Vec<Value>>` | [`array`](crate::array()): `rarray(?)` and `list(?)` need no loading; slices and vectors of numbers, text, bytes and [`Value`](crate::Value), not copied |
//! | `VTab`, `CreateVTab`, `VTabCursor`, `update_module`, `eponymous_only_module` | [`VirtualTable`](crate::extend::virtual_table::VirtualTable) and [`TableCursor`](crate::extend::virtual_table::TableCursor), safe traits without a `base` field; [`WritableTable`](crate::extend::virtual_table::WritableTable), [`TransactionalTable`](crate::extend::virtual_table::TransactionalTable); [`TableKind`](crate::extend::virtual_table::TableKind). `filter` and `next` return whether there is a row, in place of `eof` |
//! | `vtab::series::load_module`, `vtab::csvtab::load_module` | `create_module::<Series>("generate_series", ())` with [`Series`](crate::extend::virtual_table::Series), and `Csv` of the feature `csv`, whose arguments are the same. A table function alone is a closure: [`create_table_function`](crate::Connection::create_table_function) |
//! | `IndexInfo`: `constraint_usage(i).set_argv_index(n)` | [`IndexQuery::pass`](crate::extend::virtual_table::IndexQuery::pass), which returns the number |
//! | `named_params!` with names that the SQL lacks, structs of `serde_rusqlite` | [`ignore_unused`](crate::NamedParamsFromIter::ignore_unused), [`missing_as_null`](crate::NamedParamsFromIter::missing_as_null); names need no prefix |
//! | `rusqlite_migration`: `M::up(sql).down(sql)`, `to_latest`, `to_version`, `validate` | [`Migration::new(name, sql).down(sql)`](crate::data::Migration), [`Migrations::migrate`](crate::data::Migrations::migrate), [`migrate_to`](crate::data::Migrations::migrate_to), [`validate`](crate::data::Migrations::validate); the `user_version` means the same, so that a database goes on with either, and foreign keys are off and checked without being asked for |
//! | `refinery`: `embed_migrations!("folder")`, `runner().run` | [`migrations!`](crate::migrations!), [`Migrations::from_files`](crate::data::Migrations::from_files), which reads the same names of files; set `user_version` to the number of migrations that `refinery_schema_history` has, once |
//! | `load_extension_enable`, `load_extension` | [`load_extension`](crate::Connection::load_extension), which enables it for the call only |
//! | `Connection::handle` | [`Connection::as_raw`](crate::Connection::as_raw) |
//! | `r2d2_sqlite` | [`pool::Pool`](crate::pool::Pool) |
//!
//! | A program that | with rusqlite | with finalite |
//! |---|---|---|
//! | reads a number that does not fit its type | an error | an error |
//! | reads a REAL as an integer, or an integer as `bool` other than 0 and 1 | REAL: an error; `bool`: true | errors |
//! | calls `execute` for a statement that returns rows | an error | `Ok`: the number of changed rows |
//! | binds NaN | NULL is stored | an error |
//! | reads an INTEGER as a date | seconds since 1970 | an error: [`UnixSeconds`](crate::convert::UnixSeconds), [`UnixMillis`](crate::convert::UnixMillis) read it |
//! | binds a `jiff::Timestamp` | `2026-11-29T18:04:59Z`, which does not sort with fractions | `2026-11-29 18:04:59+00:00`; [`IsoT`](crate::convert::IsoT) |
//! | binds a `serde_json::Value` that is null or a number | NULL, INTEGER or REAL | TEXT, as other JSON |
//! | reads NULL as `serde_json::Value` | `Value::Null` | an error: read an `Option` |
//! | runs `INSERT … RETURNING` by `query_row`, and the commit fails | `Ok` | an error |
//! | sets a pragma to a value that SQLite does not take | `Ok` | an error |
//! | uses a blob whose row has changed | `SQLITE_ABORT`; `SQLITE_ERROR` behind the end | [`ErrorKind::BlobExpired`](crate::ErrorKind::BlobExpired) |
//! | goes on in a transaction that SQLite has rolled back | each statement commits on its own | [`ErrorKind::TransactionEnded`](crate::ErrorKind::TransactionEnded) |
//!
//! # sqlx
//!
//! Calls return when they are done; an async program makes them on a thread for blocking work.
//!
//! | sqlx | finalite |
//! |---|---|
//! | `SqliteConnectOptions`, `SqlitePoolOptions` | [`OpenOptions`](crate::OpenOptions), [`Pool::builder`](crate::pool::Pool::builder) |
//! | `fetch_one`, `fetch_optional`, `fetch_all`, `fetch` | [`query_one`](crate::Connection::query_one), [`query_optional`](crate::Connection::query_optional), [`query_all`](crate::Connection::query_all), [`query_as`](crate::Connection::query_as) |
//! | `query(sql).bind(a).bind(b)` | `(sql, (a, b))` |
//! | `query!(sql, a)`, `query_scalar!(sql, a)` | `sql!(sql).query_one(&conn, (a,))` of the crate [`finalite-sql`](https://docs.rs/finalite-sql), which reads the schema and needs no `DATABASE_URL`; a single column is a value, no struct; `AS "n!: T"` means the same |
//! | `query_as!(User, sql, a)` | `sql!(sql as User).query_one(&conn, (a,))`, and `User` derives `FromRow` |
//! | `#[derive(FromRow)]` | the same, with the feature `derive`; `#[sqlx(..)]` is `#[finalite(..)]`, `try_from` and `json` are `with` and `json` |
//! | `#[derive(Type)]` | `#[derive(FromSql, ToSql)]` |
//! | features `chrono`, `time`, `uuid`, `json` | features `chrono`, `time`, `uuid`, `serde_json`; dates with a zone as sqlx writes them are [`IsoT`](crate::convert::IsoT) |
//! | `types::Json<T>` | `convert::Json<T>`, with the feature `serde_json` |
//! | `row.try_get("a")` | [`Row::get`](crate::Row::get) |
//! | `set_update_hook` of a locked handle | [`Pool::watch`](crate::pool::Pool::watch), [`Connection::on_update`](crate::Connection::on_update) |
//! | `pool.begin()` | [`Pool::write`](crate::pool::Pool::write), which tries again while the database is locked |
//! | `Error::RowNotFound` | [`Error::is_no_rows`](crate::Error::is_no_rows) |
//! | `sqlx::migrate!("folder")` | [`migrations!`](crate::migrations!), [`Migrations::from_files`](crate::data::Migrations::from_files), which reads the same names of files; set `user_version` to the number of rows of `_sqlx_migrations`, once |
//!
//! # diesel
//!
//! finalite has no query builder. SQL that diesel does not express (`sql_query`) moves as it is.
//!
//! | diesel | finalite |
//! |---|---|
//! | `SqliteConnection::establish` | [`Connection::open`](crate::Connection::open) |
//! | `sql_query(sql).bind::<T, _>(a)` | `(sql, (a,))` |
//! | `get_result`, `load`, `execute`, `batch_execute` | [`query_one`](crate::Connection::query_one), [`query_all`](crate::Connection::query_all), [`execute`](crate::Connection::execute), [`execute_batch`](crate::Connection::execute_batch) |
//! | `conn.transaction(\|conn\| …)` | [`Connection::transaction`](crate::Connection::transaction), a guard |
//! | features `chrono`, `time`, `serde_json` | [the same](crate::convert#dates-and-times); a `Jsonb` column is `convert::Jsonb<T>` |
//! | `immediate_transaction` | [`transaction_with`](crate::Connection::transaction_with) |
//! | `#[derive(QueryableByName)]` | `#[derive(FromRow)]`, with the feature `derive` |
//! | `insert_into(users).values(&vec_of_users)` | columns instead of rows: [`Connection::insert_columns`](crate::Connection::insert_columns) |
//! | `#[derive(Insertable)]`, `insert_into(users).values(&user)` | `#[derive(Params)]`, [`insert_into("users", &user)`](crate::Connection::insert_into) |
//! | `r2d2::Pool` | [`pool::Pool`](crate::pool::Pool) |
//! | `eq_any(&ids)` | `IN (SELECT value FROM list(?))` with [`array(&ids)`](crate::array()) |
//! | `embed_migrations!`, `run_pending_migrations` | [`migrations!`](crate::migrations!), [`Migrations::migrate`](crate::data::Migrations::migrate) |
