//! Reads the bytecode of a statement (`EXPLAIN`): whether it is a plain scan of a table, which table, and the source of
//! each column of the result.
//!
//! The SQL text is not examined, since its names are ambiguous: a view may be just a table, `a` may be a computed
//! column, and a table may be read from an index. An unexpected instruction only means that SQLite runs the statement.

use crate::Connection;
use crate::btree::cells::ColumnSource;
use crate::error::Result;
use crate::sql::skip_blank;
use crate::value::ValueRef;

/// A plain scan of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// Number of the database: 0 for main, 1 for temp, 2 and more for attached ones.
    pub(super) database: i32,
    pub(super) root: u32,
    pub(super) sources: Box<[ColumnSource]>,
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
    let mut explain = conn.prepare(&format!("EXPLAIN {}", skip_blank(sql)))?;
    let mut rows = explain.query(())?;
    let (mut reads, mut locks) = (false, false);
    while let Some(row) = rows.next()? {
        match row.get::<&str>(1)? {
            "OpenRead" => reads |= row.get::<i64>(4)? == 0,
            "TableLock" => locks |= row.get::<i64>(2)? == 0,
            _ => {}
        }
    }
    Ok(!reads || *conn.has_shared_cache.get_or_init(|| locks))
}

struct Instruction {
    code: Box<str>,
    p1: i64,
    p2: i64,
    p3: i64,
    p4: Option<Box<str>>,
    p5: i64,
}

impl Program {
    /// Reads the bytecode of a read-only statement. Returns `None` if it is not a plain scan.
    pub(super) fn of(conn: &Connection, sql: &str) -> Result<Option<Self>> {
        let mut explain = conn.prepare(&format!("EXPLAIN {}", skip_blank(sql)))?;
        let mut rows = explain.query(())?;
        let mut parser = Parser::default();
        while let Some(row) = rows.next()? {
            let instruction = Instruction {
                code: row.get::<&str>(1)?.into(),
                p1: row.get(2)?,
                p2: row.get(3)?,
                p3: row.get(4)?,
                // The text is stored in UTF-16, so any bytes are possible.
                p4: match row.value(5)? {
                    ValueRef::Text(p4) => Some(String::from_utf8_lossy(p4).into()),
                    _ => None,
                },
                p5: row.get(6)?,
            };
            if !parser.take(&instruction) {
                return Ok(None);
            }
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

fn is_number(p4: &Option<Box<str>>) -> bool {
    p4.as_deref().is_some_and(|p4| p4.parse::<i64>().is_ok())
}

#[derive(Default)]
struct Parser {
    next: Expected,
    cursor: i64,
    database: i64,
    root: i64,
    registers: Vec<(i64, ColumnSource)>,
    result: Option<Box<[ColumnSource]>>,
}

impl Parser {
    /// Processes an instruction. Returns `false` if it is not part of a plain scan.
    fn take(&mut self, instruction: &Instruction) -> bool {
        let &Instruction { ref code, p1, p2, p3, ref p4, p5 } = instruction;
        let next = match (self.next, &**code) {
            // Annotations for readers of the bytecode.
            (now, "Explain" | "Noop") => now,
            (Expected::Init, "Init") => Expected::Open,
            // For an index, or a table without rowids, P4 is a key description instead of a number of columns.
            (Expected::Open, "OpenRead") if is_number(p4) && p5 == 0 => {
                (self.cursor, self.root, self.database) = (p1, p2, p3);
                Expected::Rewind
            }
            (now @ Expected::Rewind, "ColumnsUsed") if p1 == self.cursor => now,
            (Expected::Rewind, "Rewind") if p1 == self.cursor => Expected::Row,
            (now @ Expected::Row, "Rowid") if p1 == self.cursor => {
                self.set(p2, ColumnSource::Rowid);
                now
            }
            (now @ Expected::Row, "Column") if p1 == self.cursor && p5 == 0 => {
                let Ok(place) = usize::try_from(p2) else {
                    return false;
                };
                // P4 only shows that there is a default: `5` may be a number or a text.
                self.set(p3, ColumnSource::Stored { place, is_real: false, has_default: p4.is_some() });
                now
            }
            (now @ Expected::Row, "RealAffinity") => {
                let Some((_, ColumnSource::Stored { is_real, .. })) =
                    self.registers.iter_mut().find(|(register, _)| *register == p1)
                else {
                    return false;
                };
                *is_real = true;
                now
            }
            (Expected::Row, "ResultRow") => {
                self.result = (p1..p1.saturating_add(p2)).map(|register| self.get(register)).collect();
                if self.result.is_none() {
                    return false;
                }
                Expected::Step
            }
            (Expected::Step, "Next") if p1 == self.cursor => Expected::Halt,
            (Expected::Halt, "Halt") => Expected::Transaction,
            (Expected::Transaction, "Transaction") if p1 == self.database && p2 == 0 => Expected::Goto,
            (Expected::Goto, "Goto") => Expected::Nothing,
            _ => return false,
        };
        self.next = next;
        true
    }

    fn set(&mut self, register: i64, source: ColumnSource) {
        self.registers.retain(|(other, _)| *other != register);
        self.registers.push((register, source));
    }

    fn get(&self, register: i64) -> Option<ColumnSource> {
        self.registers.iter().find(|(other, _)| *other == register).map(|&(_, source)| source)
    }

    fn finish(self) -> Option<Program> {
        if self.next != Expected::Nothing {
            return None;
        }
        Some(Program {
            database: i32::try_from(self.database).ok()?,
            root: u32::try_from(self.root).ok().filter(|&root| root > 0)?,
            sources: self.result.filter(|sources| !sources.is_empty())?,
        })
    }
}
