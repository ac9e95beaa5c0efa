//! SQL that reads the rest of a table from a given row on.

use crate::Connection;
use crate::btree::cells::ColumnSource;
use crate::btree::condition::{
    Collation, Comparison, ComparisonAffinity, Condition, ConditionStep, Constant, Operand, Target, Test,
};
use crate::btree::rowid_range::RowidRange;
use crate::btree::value_set::ValueList;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{quote_identifier, rowid_name};
use crate::value::Value;

/// A table and the values that are read of it, as SQL.
pub(super) struct Names {
    /// One for each source of the cells.
    sources: Vec<String>,
    /// Columns of the result, with their names.
    columns: String,
    table: String,
    rowid: String,
}

impl Names {
    /// Looks up the names, which the page reader itself does not need. The columns get the names of the scan's result.
    pub(super) fn find(
        conn: &Connection,
        database: &str,
        root: u32,
        sources: &[ColumnSource],
        called: &[Box<str>],
    ) -> Result<Self> {
        let unknown = || Error::new(ErrorKind::Misuse { reason: "the scanned table no longer exists" });
        let quoted = quote_identifier(database);
        let table = if root == 1 {
            "sqlite_schema".to_owned()
        } else {
            let sql = format!("SELECT name FROM {quoted}.sqlite_schema WHERE rootpage = ? AND type = 'table'");
            conn.prepare(&sql)?.query_optional::<String>((root,))?.ok_or_else(unknown)?
        };
        // Columns computed on read (virtual generated columns) have no place in a record.
        let columns = conn
            .prepare("SELECT name FROM pragma_table_xinfo(?, ?) WHERE hidden <> 2 ORDER BY cid")?
            .query_all::<String>((&*table, database))?;
        let rowid = rowid_name(&columns)
            .ok_or_else(|| Error::new(ErrorKind::Misuse { reason: "columns have taken all names of the rowid" }))?;
        let table = format!("{quoted}.{}", quote_identifier(&table));
        // Qualified by the table, an unknown name is an error, and not a string literal.
        let name = |source: &ColumnSource| match *source {
            ColumnSource::Rowid => Some(format!("{table}.{rowid}")),
            ColumnSource::Stored { place, .. } => {
                columns.get(place).map(|name| format!("{table}.{}", quote_identifier(name)))
            }
        };
        let sources = sources.iter().map(name).collect::<Option<Vec<_>>>().ok_or_else(unknown)?;
        let columns =
            sources.iter().zip(called).map(|(source, called)| format!("{source} AS {}", quote_identifier(called)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        Ok(Self { sources, columns, table, rowid: rowid.to_owned() })
    }

    /// Returns the schema version of a database.
    pub(super) fn schema_version(conn: &Connection, database: &str) -> Result<u32> {
        conn.prepare(&format!("PRAGMA {}.schema_version", quote_identifier(database)))?.query_one(())
    }

    /// Returns a `SELECT` of all values of all rows in a range, in the order of the pages, and its parameters.
    pub(super) fn select_all(&self, range: RowidRange) -> (String, Vec<Value>) {
        let Self { table, rowid, .. } = self;
        let sql = format!("SELECT {} FROM {table} NOT INDEXED", self.sources.join(", "));
        if range == RowidRange::ALL {
            return (sql, Vec::new());
        }
        let sql = format!("{sql} WHERE {table}.{rowid} BETWEEN ?1 AND ?2 ORDER BY {table}.{rowid}");
        (sql, vec![range.first.into(), range.last.into()])
    }

    /// Returns a `SELECT` of the rows after a row, or from that row on, up to a last one, that meet the condition, and
    /// its parameters.
    pub(super) fn select_rest(
        &self,
        (from, is_from_it_on): (i64, bool),
        last: i64,
        condition: Option<&Condition>,
    ) -> (String, Vec<Value>) {
        let Self { columns, table, rowid, .. } = self;
        let comparison = if is_from_it_on { ">=" } else { ">" };
        let mut parameters = vec![from.into(), last.into()];
        let condition = match condition {
            Some(condition) => {
                parameters.extend(condition.constants.iter().map(|constant| match constant {
                    Constant::Value(value) => value.clone(),
                    Constant::Parameter(_) => Value::Null,
                }));
                format!(" AND {}", self.expression(condition, 0))
            }
            None => String::new(),
        };
        let sql = format!(
            "SELECT {columns} FROM {table} NOT INDEXED \
             WHERE {table}.{rowid} {comparison} ?1 AND {table}.{rowid} <= ?2{condition} ORDER BY {table}.{rowid}"
        );
        (sql, parameters)
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
            Operand::Constant(index) => format!("?{}", index + 3),
        }
    }
}

fn collation_name(collation: Collation) -> &'static str {
    match collation {
        Collation::Binary => "BINARY",
        Collation::NoCase => "NOCASE",
        Collation::RightTrim => "RTRIM",
    }
}
