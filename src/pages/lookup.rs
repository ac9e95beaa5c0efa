//! SQL that reads the rest of a table, or of an index, from a given row on.

use crate::Connection;
use crate::btree::cells::ColumnSource;
use crate::btree::condition::{
    Collation, Comparison, ComparisonAffinity, Condition, ConditionStep, Constant, Operand, Target, Test,
};
use crate::btree::format::Encoding;
use crate::btree::rowid_range::RowidRange;
use crate::btree::tree::TreeKind;
use crate::btree::value_set::ValueList;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{IndexSql, index_sql, is_integer, quote_identifier, rowid_name, with_single_quotes};
use crate::value::{Value, ValueRef};

/// A table and the values that are read of it, as SQL.
pub(super) struct Names {
    /// One for each source of the cells.
    sources: Vec<String>,
    /// Columns of the result, with their names.
    columns: String,
    /// The table, with the index that SQLite must use.
    table: String,
    /// Condition of a partial index.
    filter: Option<String>,
    /// Values by which the rows are ordered. No two rows have all of them in common.
    key: Vec<KeyTerm>,
}

/// A value by which the rows are ordered.
struct KeyTerm {
    name: String,
    /// `None` for the rowid.
    collation: Option<String>,
    is_descending: bool,
    /// Whether it is an integer, which `ORDER BY` takes for the number of a column, and which orders nothing.
    is_constant: bool,
}

/// A value of a row that is a parameter of the statement for the remaining rows.
pub(super) struct KeyValue {
    value: Value,
    /// Whether a text is given as its bytes, which need not be valid UTF-8.
    is_text: bool,
}

impl KeyValue {
    pub(super) fn of(value: ValueRef<'_>, encoding: Encoding) -> Self {
        match value {
            ValueRef::Text(text) if encoding == Encoding::Utf8 => {
                Self { value: Value::Blob(text.to_vec()), is_text: true }
            }
            ValueRef::Text(text) => {
                Self { value: Value::Text(String::from_utf8_lossy(text).into_owned()), is_text: false }
            }
            ValueRef::Null => Self::from(Value::Null),
            ValueRef::Integer(value) => Self::from(Value::Integer(value)),
            ValueRef::Real(value) => Self::from(Value::Real(value)),
            ValueRef::Blob(blob) => Self::from(Value::Blob(blob.to_vec())),
        }
    }
}

impl From<Value> for KeyValue {
    fn from(value: Value) -> Self {
        Self { value, is_text: false }
    }
}

impl Names {
    /// Looks up the names, which the page reader itself does not need. The columns get the names of the scan's result.
    pub(super) fn find(
        conn: &Connection,
        database: &str,
        (root, kind): (u32, TreeKind),
        sources: &[ColumnSource],
        called: &[Box<str>],
    ) -> Result<Self> {
        let quoted = quote_identifier(database);
        let (name, index) = if root == 1 {
            ("sqlite_schema".to_owned(), None)
        } else {
            let sql = format!("SELECT tbl_name, type, name, sql FROM {quoted}.sqlite_schema WHERE rootpage = ?");
            let (table, object, name, sql) = conn
                .prepare(&sql)?
                .query_optional::<(String, String, String, Option<String>)>((root,))?
                .ok_or_else(unknown)?;
            let index = match (kind, &*object) {
                (TreeKind::Table, "table") => None,
                (TreeKind::Index { .. }, "index") => Some((name, sql)),
                // A table without rowids is the index of its primary key.
                (TreeKind::Index { .. }, "table") => {
                    let sql = "SELECT name FROM pragma_index_list(?, ?) WHERE origin = 'pk'";
                    let name = conn.prepare(sql)?.query_optional::<String>((&*table, database))?;
                    Some((name.ok_or_else(unknown)?, None))
                }
                _ => return Err(unknown()),
            };
            (table, index)
        };
        let columns = conn
            .prepare(
                "SELECT name, hidden = 2, pk = 1 AND type = 'INTEGER' COLLATE NOCASE FROM pragma_table_xinfo(?, ?)",
            )?
            .query_all::<(String, bool, bool)>((&*name, database))?;
        let table = format!("{quoted}.{}", quote_identifier(&name));
        let names: Vec<&str> = columns.iter().map(|(name, ..)| &**name).collect();
        let rowid = || {
            let own = || columns.iter().find(|(.., is_rowid)| *is_rowid).map(|(name, ..)| quote_identifier(name));
            let name = rowid_name(&names)
                .map(str::to_owned)
                .or_else(own)
                .ok_or_else(|| Error::new(ErrorKind::Misuse { reason: "columns have taken all names of the rowid" }))?;
            Ok(format!("{table}.{name}"))
        };
        let is_column = |name: &str| names.iter().any(|column| column.eq_ignore_ascii_case(name));
        // Qualified by the table, an unknown name is an error, and not a string literal.
        let column = |name: &str| format!("{table}.{}", quote_identifier(name));
        let (stored, mut key, filter) = match &index {
            None => {
                let key = KeyTerm { name: rowid()?, collation: None, is_descending: false, is_constant: false };
                // Columns computed on read (virtual generated columns) have no place in a record.
                let stored = columns.iter().filter(|(_, is_virtual, _)| !is_virtual);
                (stored.map(|(name, ..)| column(name)).collect(), vec![key], None)
            }
            Some((index, sql)) => {
                let IndexSql { terms, condition } = sql.as_deref().map(index_sql).unwrap_or_default();
                // The line break ends a comment.
                let expression = |sql: &str| format!("({}\n)", with_single_quotes(sql, is_column));
                let mut stored = Vec::new();
                let mut key = Vec::new();
                let found = conn
                    .prepare("SELECT cid, name, \"desc\", coll FROM pragma_index_xinfo(?, ?) ORDER BY seqno")?
                    .query_all::<(i64, Option<String>, bool, Option<String>)>((&**index, database))?;
                for (cid, name, is_descending, collation) in found {
                    let mut is_constant = false;
                    let name = match (cid, name) {
                        (_, Some(name)) => column(&name),
                        (-1, None) => rowid()?,
                        _ => {
                            let term = terms.get(stored.len()).ok_or_else(unknown)?;
                            is_constant = is_integer(term);
                            expression(term)
                        }
                    };
                    stored.push(name.clone());
                    key.push(KeyTerm { name, collation, is_descending, is_constant });
                }
                (stored, key, condition.map(expression))
            }
        };
        key.truncate(kind.key().max(1));
        let name = |source: &ColumnSource| match *source {
            ColumnSource::Rowid => rowid(),
            ColumnSource::Stored { place, .. } => stored.get(place).cloned().ok_or_else(unknown),
        };
        let sources = sources.iter().map(name).collect::<Result<Vec<_>>>()?;
        let columns =
            sources.iter().zip(called).map(|(source, called)| format!("{source} AS {}", quote_identifier(called)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let table = match index {
            Some((index, _)) => format!("{table} INDEXED BY {}", quote_identifier(&index)),
            None => format!("{table} NOT INDEXED"),
        };
        Ok(Self { sources, columns, table, filter, key })
    }

    /// Returns the schema version of a database.
    pub(super) fn schema_version(conn: &Connection, database: &str) -> Result<u32> {
        conn.prepare(&format!("PRAGMA {}.schema_version", quote_identifier(database)))?.query_one(())
    }

    /// Returns a `SELECT` of all values of all rows in a range, in the order of the pages, and its parameters.
    pub(super) fn select_all(&self, range: RowidRange) -> (String, Vec<Value>) {
        let sql = format!("SELECT {} FROM {}", self.sources.join(", "), self.table);
        if range == RowidRange::ALL {
            let filter = self.filter.as_ref().map_or(String::new(), |filter| format!(" WHERE {filter}"));
            return (sql + &filter, Vec::new());
        }
        let rowid = &self.key[0].name;
        let sql = format!("{sql} WHERE {rowid} BETWEEN ?1 AND ?2 ORDER BY {rowid}");
        (sql, vec![range.first.into(), range.last.into()])
    }

    /// Returns a `SELECT` of the rows after the row with this key, or from that row on, up to a last rowid, that meet the
    /// condition, and its parameters. `None` if the row has another number of values in its key.
    pub(super) fn select_rest(
        &self,
        (key, is_from_it_on): (Vec<KeyValue>, bool),
        last: i64,
        condition: Option<&Condition>,
    ) -> Option<(String, Vec<Value>)> {
        if key.len() != self.key.len() {
            return None;
        }
        let Self { columns, table, .. } = self;
        let mut wheres = vec![self.is_after(&key, is_from_it_on)];
        wheres.extend(self.filter.clone());
        wheres.extend(condition.map(|condition| self.expression(condition, 0)));
        let constants = condition.iter().flat_map(|condition| &condition.constants).map(|constant| match constant {
            Constant::Value(value) => value.clone(),
            Constant::Parameter(_) => Value::Null,
        });
        let mut parameters: Vec<_> = key.into_iter().map(|key| key.value).chain(constants).collect();
        // Tables alone have ranges, and their key is the rowid.
        if last < i64::MAX {
            parameters.push(last.into());
            wheres.push(format!("{} <= ?{}", self.key[0].name, parameters.len()));
        }
        let terms = self.key.iter().filter(|term| !term.is_constant);
        let order = terms.map(|term| format!("{}{}", term.ordered(), if term.is_descending { " DESC" } else { "" }));
        let order = order.collect::<Vec<_>>().join(", ");
        let order = if order.is_empty() { order } else { format!(" ORDER BY {order}") };
        let sql = format!("SELECT {columns} FROM {table} WHERE {}{order}", wheres.join(" AND "));
        Some((sql, parameters))
    }

    /// Returns an expression for the rows after the row with this key, or from it on, with its values as the first
    /// parameters. NULL is before all other values.
    fn is_after(&self, key: &[KeyValue], is_from_it_on: bool) -> String {
        let mut after = String::new();
        for (index, (term, key)) in self.key.iter().zip(key).enumerate().rev() {
            let number = index + 1;
            let parameter = if key.is_text { format!("+CAST(?{number} AS TEXT)") } else { format!("?{number}") };
            let name = &term.name;
            // Values are compared as they are stored. A rowid alone remains a column, by which SQLite finds the row.
            let value = match term.collation {
                Some(_) => format!("(+{name}) {}", term.collate()),
                None => name.clone(),
            };
            let is_last = after.is_empty();
            let equals = if is_last && is_from_it_on { "=" } else { "" };
            let is_beyond = match (&key.value, term.is_descending) {
                (Value::Null, false) if is_last && is_from_it_on => format!("?{number} IS NULL"),
                (Value::Null, false) => format!("{name} IS NOT ?{number}"),
                (Value::Null, true) if is_last && is_from_it_on => format!("{name} IS ?{number}"),
                (Value::Null, true) => format!("?{number} IS NOT NULL"),
                (_, false) => format!("{value} >{equals} {parameter}"),
                (_, true) => format!("({value} <{equals} {parameter} OR {name} IS NULL)"),
            };
            after = match is_last {
                true => is_beyond,
                false => format!("({is_beyond} OR ({value} IS {parameter} AND {after}))"),
            };
        }
        after
    }

    /// Returns an expression for the condition from a step on, with the constants as parameters from the third on.
    fn expression(&self, condition: &Condition, step: usize) -> String {
        let Some(&ConditionStep { test, target }) = condition.steps.get(step) else {
            return "1".to_owned();
        };
        let if_true = || match target {
            Target::Step(target) => self.expression(condition, target),
            Target::Accept => "1".to_owned(),
            Target::Reject => "0".to_owned(),
        };
        let test = match test {
            Test::Always => return if_true(),
            Test::IsNull(operand) => format!("{} IS NULL", self.operand(operand)),
            Test::IsNotNull(operand) => format!("{} IS NOT NULL", self.operand(operand)),
            Test::Compare(comparison) => self.comparison(comparison),
            Test::IsOneOf(operand, list) => self.membership(operand, &condition.lists[list]),
            Test::IsNoneOf(operand, list) => {
                format!("{} IS NOT TRUE", self.membership(operand, &condition.lists[list]))
            }
        };
        format!("CASE WHEN {test} THEN {} ELSE {} END", if_true(), self.expression(condition, step + 1))
    }

    fn comparison(&self, comparison: Comparison) -> String {
        let Comparison { left, relation, right, affinity, collation, is_true_for_null } = comparison;
        let collation = collation_name(collation);
        // A column has an affinity of its own, unless it is an expression.
        let sign = if affinity == ComparisonAffinity::None { "+" } else { "" };
        let if_null = if is_true_for_null { " IS NOT FALSE" } else { "" };
        let (left, relation, right) = (self.operand(left), relation.operator(), self.operand(right));
        format!("({sign}{left} COLLATE {collation} {relation} {sign}{right}){if_null}")
    }

    fn membership(&self, operand: Operand, list: &ValueList) -> String {
        // The values have been converted, and those of a column are not converted by its own affinity.
        let values = list.values.clone().map(|index| self.operand(Operand::Constant(index)));
        let (operand, collation) = (self.operand(operand), collation_name(list.collation));
        format!("(+{operand} COLLATE {collation} IN ({}))", values.collect::<Vec<_>>().join(", "))
    }

    fn operand(&self, operand: Operand) -> String {
        match operand {
            Operand::Source(index) => self.sources[index].clone(),
            Operand::Constant(index) => format!("?{}", self.key.len() + index + 1),
        }
    }
}

impl KeyTerm {
    fn collate(&self) -> String {
        self.collation.as_ref().map_or(String::new(), |name| format!("COLLATE {}", quote_identifier(name)))
    }

    fn ordered(&self) -> String {
        format!("{} {}", self.name, self.collate())
    }
}

fn unknown() -> Error {
    Error::new(ErrorKind::Misuse { reason: "the scanned table no longer exists" })
}

fn collation_name(collation: Collation) -> &'static str {
    match collation {
        Collation::Binary => "BINARY",
        Collation::NoCase => "NOCASE",
        Collation::RightTrim => "RTRIM",
    }
}
