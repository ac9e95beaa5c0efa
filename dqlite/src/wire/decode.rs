//! Bodies of answers.

use super::{Header, WORD, WireError, answer};

/// An answer, except for rows, which [`Batch`](super::Batch) reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An error.
    Failure(Failure),
    /// The leader: its id and address. The id is 0 and the address empty if there is none.
    Server(Member),
    /// The greeting.
    Welcome,
    /// The members.
    Servers(Vec<Member>),
    /// The database is open.
    Db,
    /// The statement is prepared.
    Stmt(Prepared),
    /// The statement has run.
    Result {
        /// The rowid of the last insert of the session.
        last_insert_rowid: i64,
        /// The result of `sqlite3_changes`.
        changes: u64,
    },
    /// Done.
    Empty,
    /// The files of a database.
    Files(Vec<Dumped>),
    /// Properties of a node: failure domain and weight.
    Metadata,
}

/// An error of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code: an extended one of SQLite, or one of dqlite's own.
    pub code: u64,
    /// The message.
    pub message: String,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The number that the cluster knows it by.
    pub id: u64,
    /// The address that it is reached at.
    pub address: String,
    /// The role: 0 is a voter, 1 a stand-by, 2 a spare.
    pub role: u64,
}

/// A prepared statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The number that the session knows it by.
    pub id: u32,
    /// The number of parameters.
    pub parameters: u64,
    /// Whether the answer has the newer form.
    pub is_newer: bool,
    /// The offset in bytes of what follows the statement; 0 if it is not told.
    pub tail: u64,
}

/// A file of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dumped {
    /// The name of the file.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// Reads the body of an answer.
    ///
    /// # Errors
    ///
    /// [`WireError`] for a body that is too short, or a type that no answer has.
    pub fn read(header: Header, body: &[u8]) -> Result<Self, WireError> {
        let mut body = Reader::new(body);
        Ok(match header.kind {
            answer::FAILURE => Self::Failure(Failure { code: body.u64()?, message: body.string()? }),
            answer::SERVER => Self::Server(Member { id: body.u64()?, address: body.string()?, role: 0 }),
            answer::WELCOME => Self::Welcome,
            answer::SERVERS => {
                let count = body.u64()?;
                let members = (0..count)
                    .map(|_| Ok(Member { id: body.u64()?, address: body.string()?, role: body.u64()? }))
                    // Ends at the first that is not there: the number is only claimed.
                    .collect::<Result<_, WireError>>()?;
                Self::Servers(members)
            }
            answer::DB => Self::Db,
            answer::STMT => {
                let [_, id] = body.pair()?;
                let (parameters, is_newer) = (body.u64()?, header.schema == 1);
                let tail = if is_newer { body.u64()? } else { 0 };
                Self::Stmt(Prepared { id, parameters, is_newer, tail })
            }
            answer::RESULT => {
                Self::Result { last_insert_rowid: i64::from_le_bytes(body.word()?), changes: body.u64()? }
            }
            answer::EMPTY => Self::Empty,
            answer::FILES => {
                let count = body.u64()?;
                let files = (0..count)
                    .map(|_| Ok(Dumped { name: body.string()?, bytes: body.blob()?.to_vec() }))
                    .collect::<Result<_, WireError>>()?;
                Self::Files(files)
            }
            answer::METADATA => Self::Metadata,
            answer::ROWS => return Err(WireError("rows where none were asked for")),
            _ => return Err(WireError("an answer of an unknown type")),
        })
    }
}

/// Reads a body from its beginning.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

const SHORT: WireError = WireError("an answer is too short");

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Begins at an offset, which may lie beyond the end.
    pub(super) fn from(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn word(&mut self) -> Result<[u8; WORD], WireError> {
        let word = *self.rest().first_chunk().ok_or(SHORT)?;
        self.at += WORD;
        Ok(word)
    }

    pub(super) fn u64(&mut self) -> Result<u64, WireError> {
        self.word().map(u64::from_le_bytes)
    }

    fn pair(&mut self) -> Result<[u32; 2], WireError> {
        let [a, b, c, d, e, f, g, h] = self.word()?;
        Ok([u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])])
    }

    /// Takes this number of bytes and what they are padded with.
    pub(super) fn padded(&mut self, bytes: usize) -> Result<&'a [u8], WireError> {
        let found = self.rest().get(..bytes).ok_or(SHORT)?;
        self.at += bytes.checked_next_multiple_of(WORD).ok_or(SHORT)?;
        if self.at > self.bytes.len() { Err(SHORT) } else { Ok(found) }
    }

    /// Takes a text, up to its NUL.
    pub(super) fn text(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.rest().iter().position(|&byte| byte == 0).ok_or(SHORT)?;
        let text = self.padded(length + 1)?;
        Ok(&text[..length])
    }

    pub(super) fn blob(&mut self) -> Result<&'a [u8], WireError> {
        let bytes = usize::try_from(self.u64()?).map_err(|_| SHORT)?;
        self.padded(bytes)
    }

    fn string(&mut self) -> Result<String, WireError> {
        Ok(String::from_utf8_lossy(self.text()?).into_owned())
    }
}
