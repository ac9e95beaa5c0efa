//! Reads the bytecode of a statement (`EXPLAIN`): whether it is a plain scan of a table, which table, the source of each
//! column of the result, and the condition on the rows.
//!
//! The SQL text is not examined, since its names are ambiguous: a view may be just a table, `a` may be a computed
//! column, and a table may be read from an index. An unexpected instruction only means that SQLite runs the statement.

use std::ops::ControlFlow;

use crate::Connection;
use crate::btree::cells::ColumnSource;
use crate::btree::condition::{
    Collation, Comparison, ComparisonAffinity, Condition, ConditionStep, Constant, Operand, Target, Test,
};
use crate::connection::bytecode::Instruction;
use crate::error::Result;
use crate::value::{Relation, Value};

/// A plain scan of a table.
#[derive(Debug, PartialEq)]
pub(super) struct Program {
    /// Number of the database: 0 for main, 1 for temp, 2 and more for attached ones.
    pub(super) database: i32,
    /// Version of the schema for which the statement was compiled.
    pub(super) schema_version: i64,
    pub(super) root: u32,
    /// Number of columns of the result.
    pub(super) columns: usize,
    /// Columns of the result, followed by values that only the condition needs.
    pub(super) sources: Box<[ColumnSource]>,
    pub(super) condition: Option<Condition>,
}

/// Whether other connections may share the main database's cache, and so use its files from another thread. SQLite then
/// locks each table that it reads, whether the cache is shared by a URI, a flag, or a setting of the process. The
/// answer holds while the connection is open. A statement that reads nothing of the main database gives no answer: it
/// counts as shared.
#[track_caller]
pub(super) fn has_shared_cache(conn: &Connection, sql: &str) -> Result<bool> {
    if let Some(&is_shared) = conn.has_shared_cache.get() {
        return Ok(is_shared);
    }
    let (mut reads, mut locks) = (false, false);
    // Whatever the values are, it reads the same databases.
    conn.read_bytecode(sql, &[], |instruction| {
        match instruction.code {
            "OpenRead" => reads |= instruction.p3 == 0,
            "TableLock" => locks |= instruction.p1 == 0,
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    })?;
    Ok(!reads || *conn.has_shared_cache.get_or_init(|| locks))
}

impl Program {
    /// Reads the bytecode of a read-only statement. Returns `None` if it is not a scan of a table. `values` are those of
    /// its parameters, by which SQLite may choose an index.
    pub(super) fn of(conn: &Connection, sql: &str, values: &[Value]) -> Result<Option<Self>> {
        let mut parser = Parser::default();
        let refused = conn.read_bytecode(sql, values, |instruction| match parser.take(&instruction) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })?;
        if refused.is_some() {
            return Ok(None);
        }
        Ok(parser.finish())
    }
}

/// Next expected instruction.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Expected {
    #[default]
    Init,
    Open,
    Rewind,
    Row,
    Step,
    Halt,
    Transaction,
    Goto,
    Nothing,
}

fn is_number(p4: Option<&str>) -> bool {
    p4.is_some_and(|p4| p4.parse::<i64>().is_ok())
}

/// A register, and the value of the row that is in it.
struct Register {
    number: i64,
    source: ColumnSource,
    /// Address of the instruction that set it.
    set_at: i64,
    /// Whether it has been set on each way to the current instruction.
    is_certain: bool,
}

/// An operand of a test: a value of the row, or a register that is set once, after the loop in the listing.
#[derive(Clone, Copy)]
enum RawOperand {
    Source(ColumnSource),
    Register(i64),
}

/// A test of the condition, with places in the program.
struct RawTest {
    address: i64,
    /// The test; the indices of its operands are those in `operands`.
    test: Test,
    operands: [RawOperand; 2],
    target: i64,
}

#[derive(Default)]
struct Parser {
    next: Expected,
    cursor: i64,
    database: i64,
    schema_version: i64,
    root: i64,
    registers: Vec<Register>,
    tests: Vec<RawTest>,
    /// Address of the instruction that goes to the next row.
    next_row: i64,
    constants: Vec<(i64, Constant)>,
    result: Option<Vec<ColumnSource>>,
}

/// Maximum number of tests.
const TESTS_MAX: usize = 64;
/// Maximum number of tests in the SQL for the remaining rows of a scan.
const EXPRESSION_TESTS_MAX: usize = 1000;

impl Parser {
    /// Processes an instruction. Returns `false` if it is not part of a plain scan.
    fn take(&mut self, instruction: &Instruction<'_>) -> bool {
        let &Instruction { address, code, p1, p2, p3, p4, p5 } = instruction;
        let p4_text = p4.and_then(|p4| str::from_utf8(p4).ok());
        if self.next == Expected::Row {
            self.arrive_at(address);
        }
        let next = match (self.next, code) {
            // Annotations for readers of the bytecode, and for the assertions of SQLITE_DEBUG.
            (now, "Explain" | "Noop" | "ReleaseReg") => now,
            (Expected::Init, "Init") => Expected::Open,
            // For an index, or a table without rowids, P4 is a key description instead of a number of columns.
            (Expected::Open, "OpenRead") if is_number(p4_text) && p5 == 0 => {
                (self.cursor, self.root, self.database) = (p1, p2, p3);
                Expected::Rewind
            }
            (now @ Expected::Rewind, "ColumnsUsed") if p1 == self.cursor => now,
            (Expected::Rewind, "Rewind") if p1 == self.cursor => Expected::Row,
            (now @ Expected::Row, "Rowid") if p1 == self.cursor => {
                self.set(p2, ColumnSource::Rowid, address);
                now
            }
            (now @ Expected::Row, "Column") if p1 == self.cursor && matches!(p5, 0 | TYPE_ONLY) => {
                let Ok(place) = usize::try_from(p2) else {
                    return false;
                };
                // P4 only shows that there is a default: `5` may be a number or a text.
                self.set(p3, ColumnSource::Stored { place, is_real: false, has_default: p4.is_some() }, address);
                now
            }
            (now @ Expected::Row, "RealAffinity") => {
                let Some(Register { source: ColumnSource::Stored { is_real, .. }, is_certain: true, .. }) =
                    self.registers.iter_mut().find(|register| register.number == p1)
                else {
                    return false;
                };
                *is_real = true;
                now
            }
            (now @ Expected::Row, "Goto") => {
                self.tests.push(RawTest { address, test: Test::Always, operands: NO_OPERANDS, target: p2 });
                now
            }
            (now @ Expected::Row, "IsNull" | "NotNull") => {
                let Some(operand) = self.operand(p1) else {
                    return false;
                };
                let test = if code == "IsNull" { Test::IsNull(LEFT) } else { Test::IsNotNull(LEFT) };
                self.tests.push(RawTest { address, test, operands: [operand; 2], target: p2 });
                now
            }
            (now @ Expected::Row, "Eq" | "Ne" | "Lt" | "Le" | "Gt" | "Ge") => {
                // P3 is on the left.
                let (Some(comparison), Some(left), Some(right)) =
                    (comparison(code, p4_text, p5), self.operand(p3), self.operand(p1))
                else {
                    return false;
                };
                let (test, operands) = (Test::Compare(comparison), [left, right]);
                self.tests.push(RawTest { address, test, operands, target: p2 });
                now
            }
            (Expected::Row, "ResultRow") => {
                self.result = (p1..p1.saturating_add(p2)).map(|register| self.get(register)).collect();
                if self.result.is_none() {
                    return false;
                }
                Expected::Step
            }
            (Expected::Step, "Next") if p1 == self.cursor => {
                self.next_row = address;
                Expected::Halt
            }
            (Expected::Halt, "Halt") => Expected::Transaction,
            (Expected::Transaction, "Transaction") if p1 == self.database && p2 == 0 => {
                self.schema_version = p3;
                Expected::Goto
            }
            (Expected::Goto, "Goto") => Expected::Nothing,
            (now @ Expected::Goto, code) => {
                let Some(constant) = constant(code, p1, p2, p3, p4_text) else {
                    return false;
                };
                self.constants.push((p2, constant));
                now
            }
            _ => return false,
        };
        self.next = next;
        // A jump leads forward, and ends within the loop.
        self.tests.last().is_none_or(|test| test.address != address || test.target > address)
            && self.tests.len() <= TESTS_MAX
    }

    /// Registers that a jump to this instruction has left out are no longer certain.
    fn arrive_at(&mut self, address: i64) {
        for test in self.tests.iter().filter(|test| test.target == address) {
            for register in self.registers.iter_mut().filter(|register| register.set_at > test.address) {
                register.is_certain = false;
            }
        }
    }

    fn set(&mut self, number: i64, source: ColumnSource, set_at: i64) {
        self.registers.retain(|register| register.number != number);
        self.registers.push(Register { number, source, set_at, is_certain: true });
    }

    fn get(&self, number: i64) -> Option<ColumnSource> {
        let register = self.registers.iter().find(|register| register.number == number)?;
        register.is_certain.then_some(register.source)
    }

    /// Returns the content of a register; `None` if it is not certain.
    fn operand(&self, number: i64) -> Option<RawOperand> {
        match self.registers.iter().any(|register| register.number == number) {
            true => self.get(number).map(RawOperand::Source),
            false => Some(RawOperand::Register(number)),
        }
    }

    fn finish(self) -> Option<Program> {
        if self.next != Expected::Nothing {
            return None;
        }
        let mut sources = self.result.filter(|sources| !sources.is_empty())?;
        let columns = sources.len();
        let mut steps = Vec::with_capacity(self.tests.len());
        for test in &self.tests {
            let mut operand = |index: usize| match test.operands[index] {
                RawOperand::Source(source) => {
                    let known = sources.iter().position(|known| *known == source);
                    Some(Operand::Source(known.unwrap_or_else(|| {
                        sources.push(source);
                        sources.len() - 1
                    })))
                }
                RawOperand::Register(number) => {
                    self.constants.iter().position(|(register, _)| *register == number).map(Operand::Constant)
                }
            };
            let located = match test.test {
                Test::Always => Test::Always,
                Test::IsNull(_) => Test::IsNull(operand(0)?),
                Test::IsNotNull(_) => Test::IsNotNull(operand(0)?),
                Test::Compare(comparison) => {
                    Test::Compare(Comparison { left: operand(0)?, right: operand(1)?, ..comparison })
                }
            };
            let target = match self.tests.iter().position(|other| other.address >= test.target) {
                _ if test.target == self.next_row => Target::Reject,
                _ if test.target > self.next_row => return None,
                Some(step) => Target::Step(step),
                None => Target::Accept,
            };
            steps.push(ConditionStep { test: located, target });
        }
        // By the columns' declarations alone, SQLite would compare two values otherwise in the SQL for the remaining rows.
        let is_of_two_texts = |step: &ConditionStep| {
            matches!(
                step.test,
                Test::Compare(Comparison {
                    left: Operand::Source(_),
                    right: Operand::Source(_),
                    affinity: ComparisonAffinity::Text,
                    ..
                })
            )
        };
        if steps.iter().any(is_of_two_texts) {
            return None;
        }
        let constants = self.constants.into_iter().map(|(_, constant)| constant).collect();
        let condition = (!steps.is_empty()).then(|| Condition::new(constants, steps.into()));
        if condition.as_ref().is_some_and(|condition| condition.expression_tests() > EXPRESSION_TESTS_MAX) {
            return None;
        }
        Some(Program {
            database: i32::try_from(self.database).ok()?,
            schema_version: self.schema_version,
            root: u32::try_from(self.root).ok().filter(|&root| root > 0)?,
            columns,
            sources: sources.into(),
            condition,
        })
    }
}

/// P5 of `Column` if only the type of the value is used.
const TYPE_ONLY: i64 = 0x80;

/// Operands of a test, before they are located.
const LEFT: Operand = Operand::Source(0);
const RIGHT: Operand = Operand::Source(1);
const NO_OPERANDS: [RawOperand; 2] = [RawOperand::Register(0); 2];

/// Reads a comparison. Its operands are not located yet.
fn comparison(code: &str, p4: Option<&str>, p5: i64) -> Option<Comparison> {
    const AFFINITY: i64 = 0x47;
    const JUMP_IF_NULL: i64 = 0x10;
    const NULL_EQUALS: i64 = 0x80;
    let relation = match code {
        "Eq" => Relation::Equal,
        "Ne" => Relation::NotEqual,
        "Lt" => Relation::Less,
        "Le" => Relation::LessOrEqual,
        "Gt" => Relation::Greater,
        _ => Relation::GreaterOrEqual,
    };
    // Texts of a database in UTF-16 are compared as such.
    let collation = match p4? {
        "BINARY-8" => Collation::Binary,
        "NOCASE-8" => Collation::NoCase,
        "RTRIM-8" => Collation::RightTrim,
        _ => return None,
    };
    let affinity = match p5 & AFFINITY {
        0x40 | 0x41 => ComparisonAffinity::None,
        0x42 => ComparisonAffinity::Text,
        0x43..=0x46 => ComparisonAffinity::Numeric,
        _ => return None,
    };
    let (relation, is_true_for_null) = match (p5 & !AFFINITY, relation) {
        (0, relation) => (relation, false),
        (JUMP_IF_NULL, relation) => (relation, true),
        (NULL_EQUALS, Relation::Equal) => (Relation::Is, false),
        (NULL_EQUALS, Relation::NotEqual) => (Relation::IsNot, false),
        _ => return None,
    };
    Some(Comparison { left: LEFT, relation, right: RIGHT, affinity, collation, is_true_for_null })
}

/// Reads an instruction that sets a register to a constant.
fn constant(code: &str, p1: i64, p2: i64, p3: i64, p4: Option<&str>) -> Option<Constant> {
    // The 64 bits of a number, of which SQLite 3.54 has half in P1 and half in P3, and versions before it all in P4.
    let bits = || {
        let (low, high) = (i32::try_from(p1).ok()?, i32::try_from(p3).ok()?);
        p4.is_none().then_some((i64::from(high) << 32) | i64::from(low.cast_unsigned()))
    };
    Some(Constant::Value(match (code, p4) {
        ("Integer", _) => Value::Integer(p1),
        ("Int64", Some(p4)) => Value::Integer(p4.parse().ok()?),
        ("Int64", None) => Value::Integer(bits()?),
        // With P4, which has not all digits of a real, it is left to SQLite.
        ("Real", None) => Value::Real(f64::from_bits(bits()?.cast_unsigned())),
        ("String8", Some(p4)) => Value::Text(p4.to_owned()),
        ("Null", _) if p1 == 0 && (p3 == 0 || p3 == p2) => Value::Null,
        ("Variable", _) => return Some(Constant::Parameter(usize::try_from(p1).ok()?)),
        _ => return None,
    }))
}
