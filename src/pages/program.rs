//! Reads the bytecode of a statement (`EXPLAIN`): whether it is a plain scan of a table or of an index, which one, the
//! source of each column of the result, and the condition on the rows.
//!
//! The SQL text is not examined, since its names are ambiguous: a view may be just a table, `a` may be a computed
//! column, and a table may be read from an index. An unexpected instruction only means that SQLite runs the statement.

use std::ops::ControlFlow;

use super::lists::ListParser;
use crate::Connection;
use crate::btree::cells::ColumnSource;
use crate::btree::condition::{
    Collation, Comparison, ComparisonAffinity, Condition, ConditionStep, Constant, Operand, Target, Test,
};
use crate::btree::rowid_range::{RowidBound, RowidBounds};
use crate::btree::tree::TreeKind;
use crate::btree::value_set::ValueList;
use crate::connection::bytecode::Instruction;
use crate::error::Result;
use crate::value::{Relation, Value, ValueRef};

/// A plain scan of a table, or of an index.
#[derive(Debug, PartialEq)]
pub(super) struct Program {
    /// Number of the database: 0 for main, 1 for temp, 2 and more for attached ones.
    pub(super) database: i32,
    /// Version of the schema for which the statement was compiled.
    pub(super) schema_version: i64,
    pub(super) root: u32,
    pub(super) kind: TreeKind,
    /// Number of columns of the result.
    pub(super) columns: usize,
    /// Columns of the result, followed by values that only the condition needs.
    pub(super) sources: Box<[ColumnSource]>,
    /// Bounds of the rowids that are read.
    pub(super) bounds: RowidBounds,
    pub(super) condition: Option<Condition>,
}

/// Whether other connections may share the main database's cache, and so use its files from another thread. SQLite then
/// locks each table that it reads, whether the cache is shared by a URI, a flag, or a setting of the process. The
/// answer holds while the connection is open. A statement that reads nothing of the main database gives no answer: it
/// counts as shared. For each database, a program that is a [`Program`] locks no table, and thus answers as well.
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
        let program = if refused.is_some() { None } else { parser.finish() };
        let has_lists = |program: &Self| program.condition.as_ref().is_some_and(|it| !it.lists.is_empty());
        if program.as_ref().is_some_and(has_lists) && has_collation_written_as_binary(conn)? {
            return Ok(None);
        }
        Ok(program)
    }
}

/// Whether there is a collation that the bytecode writes as it writes `BINARY` in the key of an index: `B`, or nothing.
fn has_collation_written_as_binary(conn: &Connection) -> Result<bool> {
    let mut collations = conn.prepare("PRAGMA collation_list")?;
    let mut collations = collations.query(())?;
    while let Some(collation) = collations.next()? {
        if matches!(collation.value(1)?, ValueRef::Text(b"B" | b"")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Next expected instruction.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Expected {
    #[default]
    Init,
    Open,
    Rewind,
    /// The value of the last rowid, or the first instruction of the loop.
    Loop,
    Row,
    List,
    Step,
    Halt,
    Transaction,
    Goto,
    Nothing,
}

/// Maximum number of values in the key of an index, which a statement for the remaining rows compares.
const KEY_MAX: usize = 64;

/// Returns the kind of the b-tree that a cursor opens: P4 is the number of columns of a table, or describes the key of an
/// index, or of a table without rowids.
fn tree_kind(p4: Option<&str>) -> Option<TreeKind> {
    let p4 = p4?;
    let Some(description) = p4.strip_prefix("k(") else {
        return p4.parse::<i64>().is_ok().then_some(TreeKind::Table);
    };
    let key = description.split([',', ')']).next()?.parse().ok().filter(|key| (1..=KEY_MAX).contains(key))?;
    Some(TreeKind::Index { key, reads_rowid: false })
}

/// A register, and its content.
struct Register {
    number: i64,
    content: Content,
    /// Address of the instruction that set it.
    set_at: i64,
    /// Whether it has been set on each way to the current instruction.
    is_certain: bool,
}

/// Content of a register that the loop sets.
#[derive(Clone, Copy)]
enum Content {
    /// A value of the row.
    Source(ColumnSource),
    /// Index of a constant.
    Constant(usize),
}

/// An operand of a test: the content of a register, or a register that is set once, after the loop in the listing.
#[derive(Clone, Copy)]
enum RawOperand {
    Content(Content),
    Register(i64),
}

/// A bound of the rowids: the register of its value, and the address to go to if there are no more rows.
struct RawBound {
    register: i64,
    is_exclusive: bool,
    target: i64,
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
    kind: Option<TreeKind>,
    first: Option<RawBound>,
    last: Option<RawBound>,
    /// Address of the first instruction of the loop.
    loop_start: i64,
    registers: Vec<Register>,
    tests: Vec<RawTest>,
    /// Address of the instruction that goes to the next row.
    next_row: i64,
    /// Constants, and their registers if they have one of their own.
    constants: Vec<(i64, Constant)>,
    list: ListParser,
    /// Lists, and the cursors of their indexes.
    lists: Vec<(i64, ValueList)>,
    result: Option<Vec<ColumnSource>>,
}

/// Maximum number of tests.
const TESTS_MAX: usize = 64;
/// Maximum number of tests, and of values of lists, in the SQL for the remaining rows of a scan.
const EXPRESSION_TESTS_MAX: usize = 1000;

impl Parser {
    /// Processes an instruction. Returns `false` if it is not part of a plain scan.
    fn take(&mut self, instruction: &Instruction<'_>) -> bool {
        let &Instruction { address, code, p1, p2, p3, p4, p5 } = instruction;
        let p4_text = p4.and_then(|p4| str::from_utf8(p4).ok());
        if matches!(self.next, Expected::Row | Expected::List) {
            self.arrive_at(address);
        }
        if self.next == Expected::Loop {
            match constant(code, p1, p2, p3, p4_text) {
                Some(value) => {
                    self.constants.push((p2, value));
                    self.loop_start = address + 1;
                    return true;
                }
                None => self.next = Expected::Row,
            }
        }
        // Only its rows have ranges: a search in an index is left to SQLite.
        let is_of_table = self.kind == Some(TreeKind::Table);
        let next = match (self.next, code) {
            // Annotations for readers of the bytecode, and for the assertions of SQLITE_DEBUG.
            (now, "Explain" | "Noop" | "ReleaseReg") => now,
            (Expected::Init, "Init") => Expected::Open,
            (Expected::Open, "OpenRead") if p5 == 0 => {
                (self.cursor, self.root, self.database, self.kind) = (p1, p2, p3, tree_kind(p4_text));
                if self.kind.is_none() {
                    return false;
                }
                Expected::Rewind
            }
            (now @ Expected::Rewind, "ColumnsUsed") if p1 == self.cursor => now,
            (Expected::Rewind, "Rewind") if p1 == self.cursor => {
                self.loop_start = address + 1;
                Expected::Loop
            }
            (Expected::Rewind, "SeekGE" | "SeekGT") if p1 == self.cursor && is_of_table => {
                self.first = Some(RawBound { register: p3, is_exclusive: code == "SeekGT", target: p2 });
                self.loop_start = address + 1;
                Expected::Loop
            }
            (now @ Expected::Row, "Rowid") if p1 == self.cursor && is_of_table => {
                self.set(p2, Content::Source(ColumnSource::Rowid), address);
                now
            }
            (now @ Expected::Row, "IdxRowid") if p1 == self.cursor => {
                let Some(TreeKind::Index { reads_rowid, .. }) = &mut self.kind else {
                    return false;
                };
                *reads_rowid = true;
                self.set(p2, Content::Source(ColumnSource::Rowid), address);
                now
            }
            (now @ Expected::Row, "Gt" | "Ge")
                if p5 == END_OF_RANGE
                    && is_of_table
                    && self.last.is_none()
                    && self.tests.is_empty()
                    && p4.is_none() =>
            {
                // Of a row after the last one.
                let is_of_rowid = self.get(p3) == Some(ColumnSource::Rowid);
                if !is_of_rowid || !matches!(self.operand(p1), Some(RawOperand::Register(_))) {
                    return false;
                }
                self.last = Some(RawBound { register: p1, is_exclusive: code == "Ge", target: p2 });
                now
            }
            (now @ Expected::Row, "Column") if p1 == self.cursor && matches!(p5, 0 | TYPE_ONLY) => {
                let Ok(place) = usize::try_from(p2) else {
                    return false;
                };
                // P4 only shows that there is a default: `5` may be a number or a text.
                let source = ColumnSource::Stored { place, is_real: false, has_default: p4.is_some() };
                self.set(p3, Content::Source(source), address);
                now
            }
            (now @ Expected::Row, "RealAffinity") => {
                let Some(Register {
                    content: Content::Source(ColumnSource::Stored { is_real, .. }),
                    is_certain: true,
                    ..
                }) = self.registers.iter_mut().find(|register| register.number == p1)
                else {
                    return false;
                };
                *is_real = true;
                now
            }
            // Sets a register that `Return` alone reads.
            (now @ Expected::Row, "BeginSubrtn") => now,
            (Expected::Row, "Once") => {
                self.list = ListParser::new(p2);
                Expected::List
            }
            (now @ Expected::List, _) => {
                if !self.list.take(instruction) {
                    return false;
                }
                match self.list.is_done() {
                    true if self.keep_list() => Expected::Row,
                    true => return false,
                    false => now,
                }
            }
            // Whether a list has NULL: its first value in order. No list is empty or has one.
            (now @ Expected::Row, "Integer") => {
                self.constants.push((NO_REGISTER, Constant::Value(Value::Integer(p1))));
                self.set(p2, Content::Constant(self.constants.len() - 1), address);
                now
            }
            (now @ Expected::Row, "Rewind") if p2 > address && self.list_of(p1).is_some() => now,
            (now @ Expected::Row, "Column") if p2 == 0 && matches!(p5, 0 | TYPE_ONLY) => {
                let Some(list) = self.list_of(p1) else {
                    return false;
                };
                self.set(p3, Content::Constant(self.lists[list].1.values.start), address);
                now
            }
            (now @ Expected::Row, "Found" | "NotFound") if p4_text == Some("1") => {
                let (Some(list), Some(operand @ RawOperand::Content(Content::Source(_)))) =
                    (self.list_of(p1), self.operand(p3))
                else {
                    return false;
                };
                let test = if code == "Found" { Test::IsOneOf(LEFT, list) } else { Test::IsNoneOf(LEFT, list) };
                self.tests.push(RawTest { address, test, operands: [operand; 2], target: p2 });
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
                // Without a collation, where an operand is the rowid.
                let is_rowid = |register| self.get(register) == Some(ColumnSource::Rowid);
                let collation = if p4.is_none() && (is_rowid(p1) || is_rowid(p3)) { Some("BINARY-8") } else { p4_text };
                let (Some(comparison), Some(left), Some(right)) =
                    (comparison(code, collation, p5), self.operand(p3), self.operand(p1))
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
            (Expected::Step, "Next") if p1 == self.cursor && p2 == self.loop_start => {
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

    /// Keeps the list that has been read, unless it has NULL.
    fn keep_list(&mut self) -> bool {
        let ListParser { cursor, collation, affinity, values, registers, .. } = std::mem::take(&mut self.list);
        let (Some(affinity), Some(collation)) = (affinity, collation) else {
            return false;
        };
        if values.contains(&Constant::Value(Value::Null)) {
            return false;
        }
        let start = self.constants.len();
        self.constants.extend(values.into_iter().map(|value| (NO_REGISTER, value)));
        self.lists.push((cursor, ValueList { values: start..self.constants.len(), affinity, collation }));
        self.registers.retain(|register| !registers.contains(&register.number));
        true
    }

    /// Returns the index of the list that has this cursor.
    fn list_of(&self, cursor: i64) -> Option<usize> {
        self.lists.iter().position(|(its, _)| *its == cursor)
    }

    fn set(&mut self, number: i64, content: Content, set_at: i64) {
        self.registers.retain(|register| register.number != number);
        self.registers.push(Register { number, content, set_at, is_certain: true });
    }

    /// Returns the value of the row that is in a register; `None` if that is not certain.
    fn get(&self, number: i64) -> Option<ColumnSource> {
        match self.operand(number) {
            Some(RawOperand::Content(Content::Source(source))) => Some(source),
            _ => None,
        }
    }

    /// Returns the content of a register; `None` if it is not certain.
    fn operand(&self, number: i64) -> Option<RawOperand> {
        match self.registers.iter().find(|register| register.number == number) {
            Some(register) => register.is_certain.then_some(RawOperand::Content(register.content)),
            None => Some(RawOperand::Register(number)),
        }
    }

    /// Returns a bound of the rowids.
    fn bound(&self, bound: Option<&RawBound>) -> Option<Option<RowidBound>> {
        let Some(&RawBound { register, is_exclusive, target }) = bound else {
            return Some(None);
        };
        let (_, value) = self.constants.iter().find(|(its, _)| *its == register)?;
        (target > self.next_row).then(|| Some(RowidBound { value: value.clone(), is_exclusive }))
    }

    fn finish(self) -> Option<Program> {
        if self.next != Expected::Nothing {
            return None;
        }
        let bounds = RowidBounds { first: self.bound(self.first.as_ref())?, last: self.bound(self.last.as_ref())? };
        let mut sources = self.result.filter(|sources| !sources.is_empty())?;
        let columns = sources.len();
        let mut steps = Vec::with_capacity(self.tests.len());
        for test in &self.tests {
            let mut operand = |index: usize| match test.operands[index] {
                RawOperand::Content(Content::Constant(index)) => Some(Operand::Constant(index)),
                RawOperand::Content(Content::Source(source)) => {
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
                Test::IsOneOf(_, list) => Test::IsOneOf(operand(0)?, list),
                Test::IsNoneOf(_, list) => Test::IsNoneOf(operand(0)?, list),
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
        let lists = self.lists.into_iter().map(|(_, list)| list).collect();
        let condition = (!steps.is_empty()).then(|| Condition::new(constants, lists, steps.into()));
        if condition.as_ref().is_some_and(|condition| condition.expression_tests() > EXPRESSION_TESTS_MAX) {
            return None;
        }
        Some(Program {
            database: i32::try_from(self.database).ok()?,
            schema_version: self.schema_version,
            root: u32::try_from(self.root).ok().filter(|&root| root > 0)?,
            kind: self.kind?,
            columns,
            sources: sources.into(),
            bounds,
            condition,
        })
    }
}

/// P5 of `Column` if only the type of the value is used.
const TYPE_ONLY: i64 = 0x80;

/// P5 of the test that ends a range of rowids: numeric affinity, and a jump for NULL.
const END_OF_RANGE: i64 = 0x53;

/// Number of no register.
const NO_REGISTER: i64 = -1;

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
        0 | 0x40 | 0x41 => ComparisonAffinity::None,
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
pub(super) fn constant(code: &str, p1: i64, p2: i64, p3: i64, p4: Option<&str>) -> Option<Constant> {
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
