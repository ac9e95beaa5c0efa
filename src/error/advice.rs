//! Advice for errors whose message, SQLite's fixed text for a code, does not say what to do.
//!
//! Advice must be true in every case in which it is shown: SQLite uses some codes for several causes, and cannot always
//! report which file of the connection is concerned.

use super::ResultCode;

/// Information about an error in addition to its code.
pub(super) struct Circumstances {
    /// Number of files that the connection has open, as far as known.
    pub(super) files: usize,
    /// Whether the error is that of a statement that is not about another file. Otherwise it is that of opening the
    /// database.
    pub(super) is_of_a_statement: bool,
}

pub(super) fn advice(code: ResultCode, circumstances: &Circumstances) -> Option<&'static str> {
    Some(match code {
        ResultCode::BUSY if circumstances.files == 1 => "another connection holds the lock",
        ResultCode::BUSY => "another connection holds the lock, or this one, if it has the file attached twice",
        ResultCode::BUSY_SNAPSHOT => {
            "it has changed since this connection's transaction or open rows first read: end them and begin again, \
             IMMEDIATE where it will write"
        }
        ResultCode::LOCKED => {
            "a statement or transaction of this connection, or of one that shares its cache, holds a conflicting lock"
        }
        ResultCode::READONLY_DBMOVED => "its path no longer leads to the open file: it was moved, deleted or replaced",
        ResultCode::READONLY_DIRECTORY => {
            "a journal or write-ahead log has to be created beside it, and this process may not create files there: \
             permit it, or open as immutable what nobody changes"
        }
        ResultCode::READONLY_ROLLBACK => {
            "a transaction that was left unfinished has to be rolled back before anything is read, and this connection \
             may not write: open it for writing once"
        }
        ResultCode::READONLY_RECOVERY | ResultCode::READONLY_CANTINIT | ResultCode::READONLY_CANTLOCK => {
            "the index of its write-ahead log has to be written before anything is read, and this process may not write \
             it: open it once by one that may, and keep it open"
        }
        ResultCode::IOERR_DELETE if circumstances.is_of_a_statement => {
            "a transaction, or the rollback of one that was left unfinished, ends with the deletion of its journal, \
             which failed"
        }
        ResultCode::CANTOPEN if circumstances.is_of_a_statement => {
            "it needs a journal, a write-ahead log with its index, or a temporary file, and cannot open it"
        }
        ResultCode::CANTOPEN_SYMLINK => "its path contains a symbolic link, and `no_follow` is set",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reading_has_to_write_first_is_said() {
        let circumstances = Circumstances { files: 1, is_of_a_statement: true };
        for code in [
            ResultCode::READONLY_CANTINIT,
            ResultCode::READONLY_CANTLOCK,
            ResultCode::READONLY_DIRECTORY,
            ResultCode::READONLY_RECOVERY,
            ResultCode::READONLY_ROLLBACK,
        ] {
            let advice = advice(code, &circumstances).unwrap();
            assert!(advice.contains(" has to be ") && advice.contains(" may not "), "{code}: {advice}");
        }
    }
}
