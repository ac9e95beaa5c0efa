//! Data into and out of a database, other than by SQL: parts of large values, copies of databases.
//!
//! | to | call |
//! |---|---|
//! | read or write parts of a large value | [`Connection::blob`](crate::Connection::blob) |
//! | copy a database that is in use to a file | [`Connection::backup_to`](crate::Connection::backup_to) |
//! | copy it without its free pages, to a new file | [`Connection::vacuum_into`](crate::Connection::vacuum_into) |
//! | replace a database by a file, or load it into memory | [`Connection::restore_from`](crate::Connection::restore_from) |
//! | copy between connections, at a pace, step by step | [`Backup`] |
//!
//! The handles here end in `Drop`, are counted ([`handles`](crate::handles)), and are found and closed with their
//! connection if the program leaked them.

mod backup;
mod blob;

pub use backup::{Backup, BackupPacing, BackupProgress};
pub use blob::{Access, Blob, BlobAddress};
