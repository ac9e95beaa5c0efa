//! Checkpoints of a write-ahead log.

use std::ffi::{CStr, c_int};

use super::{Db, ffi, library};
use crate::error::{Fault, FaultKind};

/// Mode of a checkpoint: what it waits for. For [`Connection::checkpoint`](crate::Connection::checkpoint).
///
/// C: [Checkpoint mode values](https://sqlite.org/c3ref/c_checkpoint_full.html)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckpointMode {
    /// Copies as many frames as possible, without waiting for readers or writers, and blocks none.
    #[default]
    Passive,
    /// Waits for a writer, and for readers of older snapshots, then copies all frames. Writers wait meanwhile.
    Full,
    /// `Full`, then waits until no reader uses the log, so that the next writer begins it anew.
    Restart,
    /// `Restart`, then truncates the log to zero bytes.
    Truncate,
    /// Copies nothing: it only returns the numbers of frames. Since SQLite 3.51.
    Noop,
}

impl CheckpointMode {
    fn number(self) -> c_int {
        /// `SQLITE_CHECKPOINT_NOOP`, which older bindings do not define.
        const NOOP: c_int = -1;
        match self {
            Self::Passive => ffi::SQLITE_CHECKPOINT_PASSIVE,
            Self::Full => ffi::SQLITE_CHECKPOINT_FULL,
            Self::Restart => ffi::SQLITE_CHECKPOINT_RESTART,
            Self::Truncate => ffi::SQLITE_CHECKPOINT_TRUNCATE,
            Self::Noop => NOOP,
        }
    }
}

/// Result of a checkpoint. Both numbers are `None` if the database is not in WAL mode.
///
/// C: [sqlite3_wal_checkpoint_v2](https://sqlite.org/c3ref/wal_checkpoint_v2.html)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Number of frames in the log.
    pub log_frames: Option<u32>,
    /// Number of frames of the log that are in the database file, by this checkpoint or an earlier one.
    pub checkpointed_frames: Option<u32>,
}

impl Checkpoint {
    /// Whether all frames of the log are in the database file.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.log_frames == self.checkpointed_frames
    }
}

/// First version with `SQLITE_CHECKPOINT_NOOP`.
const NOOP_SINCE: c_int = 3_051_000;

impl Db {
    /// Checkpoints a database. If the connection has not read it yet, SQLite does not know that it is in WAL mode.
    pub(crate) fn checkpoint(&self, name: &CStr, mode: CheckpointMode) -> Result<Checkpoint, Fault> {
        let entered = self.enter()?;
        if mode == CheckpointMode::Noop && library::version_number() < NOOP_SINCE {
            let reason = format!("SQLite {} has no SQLITE_CHECKPOINT_NOOP", library::version());
            return Err(Fault::new(FaultKind::Unsupported(reason.into())));
        }
        let (mut log_frames, mut checkpointed_frames) = (-1, -1);
        let charge = entered.charge();
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20), and the name a C string (rule 22).
        // c3ref/wal_checkpoint_v2.html: a valid mode, and pointers to two ints, here locals.
        let code = unsafe {
            ffi::sqlite3_wal_checkpoint_v2(
                entered.db(),
                name.as_ptr(),
                mode.number(),
                &raw mut log_frames,
                &raw mut checkpointed_frames,
            )
        };
        drop(charge);
        // A busy handler may have been called.
        self.resume();
        self.check(code)?;
        let number = |frames: c_int| u32::try_from(frames).ok();
        Ok(Checkpoint { log_frames: number(log_frames), checkpointed_frames: number(checkpointed_frames) })
    }
}
