//! Switches and limits that reduce what a database file, or SQL, from strangers can do.

use std::ffi::c_int;

use super::db::{DbConfig, Limit};
use super::{Db, ffi};
use crate::error::{Fault, FaultKind};

/// The switches of untrusted files and SQL, with their states, other than those that have an option of their own.
const SWITCHES: [(DbConfig, bool); 6] = [
    (DbConfig::Defensive, true),
    (DbConfig::WritableSchema, false),
    (DbConfig::LoadExtension, false),
    (DbConfig::Fts3Tokenizer, false),
    (DbConfig::AttachCreate, false),
    (DbConfig::AttachWrite, false),
];

/// The limits of [Defense Against the Dark Arts](https://sqlite.org/security.html), other than that of instructions.
const LIMITS: [(Limit, u32); 10] = [
    (Limit::Length, 1_000_000),
    (Limit::SqlLength, 100_000),
    (Limit::Column, 100),
    (Limit::ExprDepth, 10),
    (Limit::CompoundSelect, 3),
    (Limit::FunctionArg, 8),
    (Limit::Attached, 0),
    (Limit::LikePatternLength, 50),
    (Limit::VariableNumber, 10),
    (Limit::TriggerDepth, 10),
];

const INSTRUCTIONS_MAX: u32 = 25_000;

impl Db {
    /// Sets the switches and limits for untrusted files and SQL, except for the limit of instructions. Those that this
    /// SQLite does not have are left out.
    pub(crate) fn harden(&self) -> Result<(), Fault> {
        for (switch, on) in SWITCHES {
            match self.set_db_config(switch, on) {
                Err(fault) if matches!(fault.kind(), FaultKind::Unsupported(_)) => {}
                result => _ = result?,
            }
        }
        for (limit, max) in LIMITS {
            self.set_limit(limit, max)?;
        }
        self.limit_parser_depth()
    }

    /// Limits the instructions of a statement. `PRAGMA quick_check` has some for each column of the database, so it
    /// runs before.
    pub(crate) fn limit_instructions(&self) -> Result<(), Fault> {
        self.set_limit(Limit::VdbeOp, INSTRUCTIONS_MAX).map(drop)
    }

    /// Limits the parser's stack, where SQLite is 3.53 or newer.
    fn limit_parser_depth(&self) -> Result<(), Fault> {
        const LIMIT_PARSER_DEPTH: c_int = 12;
        const DEPTH_MAX: c_int = 100;
        let entered = self.enter()?;
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); c3ref/limit.html: any number of a limit,
        // of which SQLite ignores those that it does not have, and a value that is not negative.
        unsafe { ffi::sqlite3_limit(entered.db(), LIMIT_PARSER_DEPTH, DEPTH_MAX) };
        Ok(())
    }
}
