//! Reads the instructions by which a program stores the values of an `IN` list in an index:
//!
//! ```text
//! Once           first execution alone
//! OpenEphemeral  the index
//!   Integer …    a literal or a parameter, once for each value
//!   MakeRecord
//!   IdxInsert
//! NullRow
//! Return
//! ```

use super::program::constant;
use crate::btree::condition::{Collation, ComparisonAffinity, Constant};
use crate::connection::bytecode::Instruction;

/// Instructions of a list, as far as they have been read.
#[derive(Default)]
pub(super) struct ListParser {
    next: Expected,
    /// Address of the last instruction.
    end: i64,
    pub(super) cursor: i64,
    pub(super) collation: Option<Collation>,
    pub(super) affinity: Option<ComparisonAffinity>,
    pub(super) values: Vec<Constant>,
    /// Registers of the last value, and of its record.
    pub(super) registers: [i64; 2],
}

/// Next expected instruction.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Expected {
    #[default]
    Open,
    ValueOrEnd,
    Record,
    Insert,
    Return,
    Nothing,
}

impl ListParser {
    /// Begins after `Once`, which jumps to this address.
    pub(super) fn new(end: i64) -> Self {
        Self { end, ..Self::default() }
    }

    /// Whether all instructions have been read.
    pub(super) fn is_done(&self) -> bool {
        self.next == Expected::Nothing
    }

    /// Processes an instruction. Returns `false` if it is not part of a list of literals and parameters.
    pub(super) fn take(&mut self, instruction: &Instruction<'_>) -> bool {
        let &Instruction { address, code, p1, p2, p3, p4, .. } = instruction;
        let p4 = p4.and_then(|p4| str::from_utf8(p4).ok());
        self.next = match (self.next, code) {
            (Expected::Open, "OpenEphemeral") if p2 == 1 => {
                self.cursor = p1;
                // The description of a key of one column in ascending order. `B` is short for `BINARY`.
                self.collation = match p4 {
                    Some("k(1,B)" | "k(1,)") => Some(Collation::Binary),
                    Some("k(1,NOCASE)") => Some(Collation::NoCase),
                    Some("k(1,RTRIM)") => Some(Collation::RightTrim),
                    _ => return false,
                };
                Expected::ValueOrEnd
            }
            (Expected::Record, "MakeRecord") if p1 == self.registers[0] && p2 == 1 => {
                let affinity = match p4 {
                    Some("A") => ComparisonAffinity::None,
                    Some("B") => ComparisonAffinity::Text,
                    Some("C" | "D" | "E") => ComparisonAffinity::Numeric,
                    _ => return false,
                };
                if *self.affinity.get_or_insert(affinity) != affinity {
                    return false;
                }
                self.registers[1] = p3;
                Expected::Insert
            }
            (Expected::Insert, "IdxInsert") if p1 == self.cursor && p2 == self.registers[1] => Expected::ValueOrEnd,
            (Expected::ValueOrEnd, "NullRow") if p1 == self.cursor && !self.values.is_empty() => Expected::Return,
            (Expected::Return, "Return") if address == self.end => Expected::Nothing,
            (Expected::ValueOrEnd, code) => {
                let Some(value) = constant(code, p1, p2, p3, p4) else {
                    return false;
                };
                self.values.push(value);
                self.registers[0] = p2;
                Expected::Record
            }
            _ => return false,
        };
        true
    }
}
