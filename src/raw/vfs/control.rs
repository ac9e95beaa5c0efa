//! File controls, which SQLite and programs send to open files.

/// Request to an open file, beside reading and writing: [`VfsFile::control`](super::VfsFile::control).
///
/// C: [File control opcodes](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileControl<'a> {
    /// The lock that the file holds; the answer is its number, [`LockLevel`](super::LockLevel) from 0.
    LockState,
    /// The file is about to grow to this size.
    SizeHint(u64),
    /// The file should grow and shrink in pieces of this size.
    ChunkSize(u32),
    /// A transaction is about to sync the database file, or would if it synced.
    Sync,
    /// A transaction was committed, before locks are released.
    CommitPhaseTwo,
    /// The whole database is about to be overwritten.
    Overwrite,
    /// Whether the file was moved or deleted since it was opened; the answer is 0 or 1.
    HasMoved,
    /// Whether the write-ahead log stays when its last connection closes: a value to set, or `None` to ask.
    PersistWal(Option<bool>),
    /// Whether a write leaves the bytes beside it alone when the power fails: a value to set, or `None` to ask.
    PowersafeOverwrite(Option<bool>),
    /// A pragma, before SQLite runs it. An answer replaces what SQLite would do.
    Pragma {
        /// The name.
        name: &'a str,
        /// The value, if it has one.
        value: Option<&'a str>,
    },
    /// Another one, by its number.
    Other(i32),
}

/// Answer to a [`FileControl`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlReply {
    /// The file does not know the request. It is passed to the wrapped file, if there is one.
    NotFound,
    /// Done.
    Done,
    /// Done, with a number.
    Integer(i32),
    /// Done, with a text: the row of a pragma.
    Text(String),
}
