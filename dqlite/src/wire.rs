//! The wire protocol of dqlite, without input or output: requests as bytes, bytes as answers.
//!
//! Numbers are little-endian; everything is padded to words of 8 bytes. A message is a header of one word (number of words
//! of the body, type, schema) and a body.

mod decode;
mod encode;
mod incoming;
mod rows;
#[cfg(test)]
mod tests;

pub use decode::{Answer, Dumped, Failure, Member, Prepared};
pub use encode::{EncodeError, PROTOCOL, Request, Schema};
pub use incoming::{Header, Incoming};
pub use rows::{Batch, Step, ends_rows};

/// The reason why bytes are not an answer of dqlite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError(pub &'static str);

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for WireError {}

/// Bytes of a word.
const WORD: usize = 8;

/// Types of answers.
pub mod answer {
    /// An error.
    pub const FAILURE: u8 = 0;
    /// A node: the leader.
    pub const SERVER: u8 = 1;
    /// The greeting of a client.
    pub const WELCOME: u8 = 2;
    /// The members of the cluster.
    pub const SERVERS: u8 = 3;
    /// An open database.
    pub const DB: u8 = 4;
    /// A prepared statement.
    pub const STMT: u8 = 5;
    /// The result of a statement without rows.
    pub const RESULT: u8 = 6;
    /// Rows, or some of them.
    pub const ROWS: u8 = 7;
    /// Nothing else than that it was done.
    pub const EMPTY: u8 = 8;
    /// The files of a database.
    pub const FILES: u8 = 9;
    /// Properties of a node.
    pub const METADATA: u8 = 10;
}
