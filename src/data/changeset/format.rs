//! The format of changesets, as far as it has to be checked before SQLite reads bytes.
//!
//! SQLite checks the bytes of a changeset where it iterates over one. Where it rebases one, it takes for granted that a
//! table has the same columns in both sets of bytes. Where it inverts one, it takes for granted that a table comes before
//! its changes, and that an update leaves the primary key as it is: it leaks the value of one that does not.
//!
//! ```text
//!   table:   'T' | columns: varint | for each column: 1 if it is of the primary key | name, NUL
//!   change:  operation | is indirect | record, and a second one for an update of a changeset
//!   record:  for each column: type | content of that type
//! ```

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};

/// Tables of a changeset: the flags of their columns by name, in lower case.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables(BTreeMap<Vec<u8>, Vec<u8>>);

/// Kind of bytes, which have different changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    Changeset,
    /// The outcome of conflicts, for a rebaser: an update has one record.
    Rebase,
}

const TABLE: u8 = b'T';
const DELETE: u8 = 9;
const INSERT: u8 = 18;
const UPDATE: u8 = 23;

impl Tables {
    /// Reads all of a changeset. Returns an error for bytes that are none, and for a table that has other columns here
    /// than in the changesets that were read before.
    pub(super) fn read(&mut self, bytes: &[u8], kind: Bytes) -> Result<()> {
        let mut rest = Rest(bytes);
        let mut columns = None;
        while let Some(first) = rest.byte() {
            if first == TABLE {
                columns = Some(self.read_table(&mut rest)?);
                continue;
            }
            let (columns, _is_indirect) = (columns.ok_or_else(malformed)?, rest.byte().ok_or_else(malformed)?);
            match (first, kind) {
                (INSERT | DELETE, _) | (UPDATE, Bytes::Changeset) => {}
                _ => return Err(malformed()),
            }
            for _ in columns {
                rest.skip_value().ok_or_else(malformed)?;
            }
            if first == UPDATE {
                for &is_of_key in columns {
                    let has_value = rest.skip_value().ok_or_else(malformed)?;
                    if has_value && is_of_key != 0 {
                        return Err(malformed());
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads the description of a table. Returns for each column whether it is of the primary key.
    fn read_table<'a>(&mut self, rest: &mut Rest<'a>) -> Result<&'a [u8]> {
        let count = rest.varint().and_then(|count| usize::try_from(count).ok()).ok_or_else(malformed)?;
        let flags = rest.take(count).filter(|flags| !flags.is_empty()).ok_or_else(malformed)?;
        let end = rest.0.iter().position(|&byte| byte == 0).ok_or_else(malformed)?;
        let name = rest.take(end + 1).map(|name| name[..end].to_ascii_lowercase()).ok_or_else(malformed)?;
        let known = self.0.entry(name).or_insert_with(|| flags.to_vec());
        if known != flags {
            return Err(Error::new(ErrorKind::Misuse {
                reason: "a table has other columns, or another primary key, than in the changes that were added before",
            }));
        }
        Ok(flags)
    }
}

/// Returns an error for bytes that are no changeset, and for a patchset, which cannot be inverted.
pub(super) fn check_inversion(bytes: &[u8]) -> Result<()> {
    Tables::default().read(bytes, Bytes::Changeset)
}

fn malformed() -> Error {
    Error::new(ErrorKind::MalformedChangeset)
}

/// Bytes that are not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// Reads a number of SQLite's variable length.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for _ in 0..8 {
            let byte = self.byte()?;
            value = value << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        self.byte().map(|byte| value << 8 | u64::from(byte))
    }

    /// Returns whether there is a value.
    fn skip_value(&mut self) -> Option<bool> {
        const UNCHANGED: u8 = 0;
        const INTEGER: u8 = 1;
        const REAL: u8 = 2;
        const TEXT: u8 = 3;
        const BLOB: u8 = 4;
        const NULL: u8 = 5;
        let kind = self.byte()?;
        let len = match kind {
            UNCHANGED | NULL => 0,
            INTEGER | REAL => 8,
            // SQLite reads 32 bits of a length.
            TEXT | BLOB => self.varint().filter(|&len| len <= i32::MAX.unsigned_abs().into())?,
            _ => return None,
        };
        self.take(usize::try_from(len).ok()?).map(|_| kind != UNCHANGED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<()> {
        Tables::default().read(bytes, Bytes::Changeset)
    }

    #[test]
    fn whole_changesets_are_read() {
        read(b"").unwrap();
        read(b"T\x02\x01\0t\0").unwrap();
        read(b"T\x02\x01\0t\0\x12\0\x01\0\0\0\0\0\0\0\x01\x03\x02hi\x17\0\x05\x05\0\x04\x01\xff").unwrap();
    }

    #[test]
    fn anything_else_is_an_error() {
        for bytes in [
            &b"\x12\0"[..],
            b"P\x01\x01t\0",
            b"T\x00t\0",
            b"T\x02\x01",
            b"T\x01\x01t",
            b"T\x01\x01t\0\x12",
            b"T\x01\x01t\0\x12\0",
            b"T\x01\x01t\0\x07\0\x05",
            b"T\x01\x01t\0\x17\0\x05",
            b"T\x01\x01t\0\x12\0\x06",
            // An update of the primary key.
            b"T\x01\x01t\0\x17\0\x05\x05",
            b"T\x01\x01t\0\x12\0\x03\x05abc",
            b"T\x01\x01t\0\x12\0\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(matches!(read(bytes).unwrap_err().kind(), ErrorKind::MalformedChangeset), "{bytes:?}");
        }
    }

    #[test]
    fn a_table_has_the_same_columns_everywhere() {
        let mut tables = Tables::default();
        tables.read(b"T\x02\x01\0t\0T\x01\x01u\0", Bytes::Changeset).unwrap();
        tables.read(b"T\x02\x01\0T\0", Bytes::Rebase).unwrap();
        for other in [&b"T\x01\x01t\0"[..], b"T\x02\0\x01t\0", b"T\x03\x01\0\0t\0"] {
            let error = tables.read(other, Bytes::Rebase).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
        }
    }
}
