//! Data into and out of a database, other than by SQL: parts of large values.
//!
//! | to | call |
//! |---|---|
//! | read or write parts of a large value | [`Connection::blob`](crate::Connection::blob) |
//!
//! The handles here end in `Drop`, are counted ([`handles`](crate::handles)), and are found and closed with their
//! connection if the program leaked them.

mod blob;

pub use blob::{Access, Blob, BlobAddress};
