//! Requests as bytes.

use std::fmt;

use finalite::workspace::RemoteParam;

use super::WORD;

/// The version of the protocol, which a client sends first.
pub const PROTOCOL: [u8; 8] = 1_u64.to_le_bytes();

/// The format of parameters: one byte for their number, or four, from dqlite 1.18 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schema {
    /// Up to 255 parameters.
    #[default]
    V0,
    /// Any number of parameters.
    V1,
}

/// A request of a client.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are those of the protocol")]
pub enum Request<'a> {
    Leader,
    Client { id: u64 },
    Open { name: &'a str },
    Prepare { sql: &'a str },
    Exec { statement: u32, params: &'a [RemoteParam<'a>] },
    Query { statement: u32, params: &'a [RemoteParam<'a>] },
    Finalize { statement: u32 },
    ExecSql { sql: &'a str, params: &'a [RemoteParam<'a>] },
    QuerySql { sql: &'a str, params: &'a [RemoteParam<'a>] },
    Add { id: u64, address: &'a str },
    Assign { id: u64, role: u64 },
    Remove { id: u64 },
    Dump { name: &'a str },
    Cluster,
    Transfer { id: u64 },
}

/// The reason why a request cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// A text contains NUL, at which the server would cut it. The number is that of the parameter, from 1 on; 0 is the
    /// SQL or a name.
    Nul {
        /// The number.
        parameter: usize,
    },
    /// More parameters than the server's protocol has a number for.
    TooManyParameters,
    /// The message is too long.
    TooLong,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul { parameter: 0 } => f.write_str("the text contains NUL, at which dqlite would cut it"),
            Self::Nul { parameter } => {
                write!(f, "the text of parameter {parameter} contains NUL, at which dqlite would cut it: bind a BLOB")
            }
            Self::TooManyParameters => f.write_str("this version of dqlite takes at most 255 parameters"),
            Self::TooLong => f.write_str("the request is longer than a message of dqlite can be"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// The largest value in bytes that SQLite takes without being compiled for more.
const VALUE_BYTES_MAX: u64 = 1_000_000_000;

impl Request<'_> {
    /// Appends the message. After an error, the bytes are as they were.
    ///
    /// # Errors
    ///
    /// [`EncodeError`].
    pub fn encode(&self, schema: Schema, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        out.extend_from_slice(&[0; WORD]);
        let result = self.body(schema, out).and_then(|(kind, schema)| {
            // A body without bytes is never answered.
            let words = u32::try_from((out.len() - start) / WORD - 1).map_err(|_| EncodeError::TooLong)?;
            out[start..start + 4].copy_from_slice(&words.to_le_bytes());
            out[start + 4] = kind;
            out[start + 5] = u8::from(schema == Schema::V1);
            Ok(())
        });
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn body(&self, schema: Schema, out: &mut Vec<u8>) -> Result<(u8, Schema), EncodeError> {
        const DB: u32 = 0;
        let kind = match *self {
            Self::Leader => word(out, 0, 0),
            Self::Client { id } => word(out, id, 1),
            Self::Open { name } => {
                text(out, name, 0)?;
                word(out, 0, 0);
                text(out, "", 0)?;
                3
            }
            // Always asked for in the newer form: an older server ignores that, and answers in its own.
            Self::Prepare { sql } => {
                word(out, 0, 0);
                text(out, sql, 0)?;
                return Ok((4, Schema::V1));
            }
            Self::Exec { statement, params } => {
                pair(out, DB, statement);
                return values(out, schema, params).map(|schema| (5, schema));
            }
            Self::Query { statement, params } => {
                pair(out, DB, statement);
                return values(out, schema, params).map(|schema| (6, schema));
            }
            Self::Finalize { statement } => {
                pair(out, DB, statement);
                7
            }
            Self::ExecSql { sql, params } => {
                word(out, 0, 0);
                text(out, sql, 0)?;
                return values(out, schema, params).map(|schema| (8, schema));
            }
            Self::QuerySql { sql, params } => {
                word(out, 0, 0);
                text(out, sql, 0)?;
                return values(out, schema, params).map(|schema| (9, schema));
            }
            Self::Add { id, address } => {
                word(out, id, 0);
                text(out, address, 0)?;
                12
            }
            Self::Assign { id, role } => {
                word(out, id, 0);
                word(out, role, 13)
            }
            Self::Remove { id } => word(out, id, 14),
            Self::Dump { name } => {
                text(out, name, 0)?;
                15
            }
            // The format with roles.
            Self::Cluster => word(out, 1, 16),
            Self::Transfer { id } => word(out, id, 17),
        };
        Ok((kind, Schema::V0))
    }
}

/// Appends a number, and returns the type of the message.
fn word(out: &mut Vec<u8>, value: u64, kind: u8) -> u8 {
    out.extend_from_slice(&value.to_le_bytes());
    kind
}

fn pair(out: &mut Vec<u8>, first: u32, second: u32) {
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&second.to_le_bytes());
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(WORD), 0);
}

fn text(out: &mut Vec<u8>, text: &str, parameter: usize) -> Result<(), EncodeError> {
    if text.as_bytes().contains(&0) {
        return Err(EncodeError::Nul { parameter });
    }
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    pad(out);
    Ok(())
}

fn values(out: &mut Vec<u8>, schema: Schema, params: &[RemoteParam<'_>]) -> Result<Schema, EncodeError> {
    if params.is_empty() {
        return Ok(Schema::V0);
    }
    // The shorter form where it suffices: every version takes it.
    let schema = match u8::try_from(params.len()) {
        Ok(count) => {
            out.push(count);
            Schema::V0
        }
        Err(_) if schema == Schema::V1 => {
            let count = u32::try_from(params.len()).map_err(|_| EncodeError::TooManyParameters)?;
            out.extend_from_slice(&count.to_le_bytes());
            Schema::V1
        }
        Err(_) => return Err(EncodeError::TooManyParameters),
    };
    out.extend(params.iter().map(|param| match param {
        RemoteParam::Integer(_) => 1,
        RemoteParam::Real(_) => 2,
        RemoteParam::Text(_) => 3,
        RemoteParam::Blob(_) | RemoteParam::ZeroBlob(_) => 4,
        RemoteParam::Null => 5,
    }));
    pad(out);
    for (place, param) in params.iter().enumerate() {
        match param {
            RemoteParam::Null => out.extend_from_slice(&[0; WORD]),
            RemoteParam::Integer(value) => out.extend_from_slice(&value.to_le_bytes()),
            RemoteParam::Real(value) => out.extend_from_slice(&value.to_le_bytes()),
            RemoteParam::Text(value) => text(out, value, place + 1)?,
            RemoteParam::Blob(bytes) => {
                out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                out.extend_from_slice(bytes);
                pad(out);
            }
            RemoteParam::ZeroBlob(bytes) => {
                let length = usize::try_from(*bytes).ok().filter(|_| *bytes <= VALUE_BYTES_MAX);
                let length = length.ok_or(EncodeError::TooLong)?;
                out.extend_from_slice(&bytes.to_le_bytes());
                out.resize(out.len() + length, 0);
                pad(out);
            }
        }
    }
    Ok(schema)
}
