//! Data into and out of a database, other than by SQL: parts of large values, copies of databases, databases as
//! bytes; and versions of the schema.
//!
//! | to | call |
//! |---|---|
//! | read or write parts of a large value | [`Connection::blob`](crate::Connection::blob) |
//! | copy a database that is in use to a file | [`Connection::backup_to`](crate::Connection::backup_to) |
//! | copy it without its free pages, to a new file | [`Connection::vacuum_into`](crate::Connection::vacuum_into) |
//! | replace a database by a file, or load it into memory | [`Connection::restore_from`](crate::Connection::restore_from) |
//! | copy between connections, at a pace, step by step | [`Backup`] |
//! | have a database as bytes | [`Connection::serialize`](crate::Connection::serialize) |
//! | record changes, and apply them elsewhere (feature `session`) | `Connection::session`, `Connection::apply_changeset` |
//! | bring the schema to its latest version | [`Migrations`] |
//! | have the schema as text, for review | [`Connection::schema_snapshot`](crate::Connection::schema_snapshot) |
//! | open bytes as a database | [`Connection::deserialize`](crate::Connection::deserialize), [`deserialize_static`](crate::Connection::deserialize_static), [`deserialize_into`](crate::Connection::deserialize_into) |
//!
//! The handles here end in `Drop`, are counted ([`handles`](crate::handles)), and are found and closed with their
//! connection if the program leaked them.

mod backup;
mod blob;
#[cfg(feature = "session")]
mod changeset;
mod migrations;
mod schema_snapshot;
mod serialized;
#[cfg(feature = "session")]
mod session;
#[cfg(feature = "snapshot")]
mod snapshot;

pub use backup::{Backup, BackupPacing, BackupProgress};
pub use blob::{Access, Blob, BlobAddress};
#[cfg(feature = "session")]
pub use changeset::{Applied, ApplyOptions, Change, ChangeGroup, Changes, Changeset, Conflict, Rebaser};
pub use migrations::{Migration, MigrationReport, MigrationStep, Migrations};
pub use serialized::Serialized;
#[cfg(feature = "session")]
pub use session::Session;
#[cfg(feature = "snapshot")]
pub use snapshot::Snapshot;

#[cfg(feature = "session")]
pub use crate::raw::changeset::{ConflictAction, ConflictKind};
