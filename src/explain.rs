//! The query plan of a statement: which tables and indexes SQLite reads, and in which order.
//!
//! [`Connection::query_plan`] returns the plan as a tree. Its text is the one that the `sqlite3` shell prints.
//!
//! ```
//! use finalite::{Connection, explain::{PlanIndex, PlanStep}};
//!
//! let conn = Connection::open_in_memory()?;
//! conn.execute_batch("CREATE TABLE city(name TEXT, people INTEGER); CREATE INDEX city_people ON city(people)")?;
//!
//! let plan = conn.query_plan("SELECT name FROM city WHERE people > ? ORDER BY name")?;
//! assert_eq!(
//!     plan.to_string(),
//!     "QUERY PLAN\n\
//!      |--SEARCH city USING INDEX city_people (people>?)\n\
//!      `--USE TEMP B-TREE FOR ORDER BY"
//! );
//! let PlanStep::Search { table, index, constraint, .. } = &plan.nodes()[0].step else {
//!     panic!("{plan}");
//! };
//! assert_eq!((&**table, constraint.as_deref()), ("city", Some("people>?")));
//! assert_eq!(*index, Some(PlanIndex::Named("city_people".into())));
//! # Ok::<(), finalite::Error>(())
//! ```
//!
//! # In tests
//!
//! A test of a program can require that its queries use their indexes: [`QueryPlan::assert_uses_index`],
//! [`QueryPlan::assert_no_full_scan`]. SQLite chooses by statistics where `ANALYZE` has made some, so such a test needs
//! the schema, and no rows.
//!
//! The texts of steps are not a stable interface of SQLite. Those of the versions 3.45 to 3.54 are understood; of
//! others, a step may be [`PlanStep::Other`]. Names in them are not quoted, so that the parts of a step are a guess where
//! a name contains words such as ` USING INDEX `.

use std::collections::BTreeSet;
use std::fmt;

use crate::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{pragma_name, skip_blank};
use crate::value::ValueRef;

mod step;

pub use step::{PlanIndex, PlanStep};

/// The query plan of a statement. From [`Connection::query_plan`].
///
/// `Display` prints the tree as the `sqlite3` shell does.
///
/// SQL: [EXPLAIN QUERY PLAN](https://sqlite.org/eqp.html)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryPlan {
    sql: Box<str>,
    nodes: Vec<PlanNode>,
}

/// A step of a query plan, with the steps that it consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanNode {
    /// SQLite's number of the step.
    pub id: i64,
    /// SQLite's text of the step, such as `SCAN city`.
    pub detail: Box<str>,
    /// The step that the text describes.
    pub step: PlanStep,
    /// Steps within this one, in their order.
    pub children: Vec<PlanNode>,
}

impl Connection {
    /// Returns the query plan of a statement, which is not run. Its parameters need no values; SQLite may choose another
    /// plan for a statement once they have some, if it was compiled with `SQLITE_ENABLE_STAT4`.
    ///
    /// # Errors
    ///
    /// Those of [`prepare`](Self::prepare), with the SQL as it was prepared: after `EXPLAIN QUERY PLAN`.
    /// [`ErrorKind::Misuse`] for a `PRAGMA`, which would take effect.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE)", ())?;
    /// let plan = conn.query_plan("DELETE FROM t WHERE a = :a")?;
    /// plan.assert_no_full_scan();
    /// assert!(plan.uses_index("sqlite_autoindex_t_1"));
    /// assert!(conn.query_plan("SELECT * FROM t WHERE id % 2")?.scans_table("t"));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// SQL: [EXPLAIN QUERY PLAN](https://sqlite.org/eqp.html)
    #[track_caller]
    #[doc(alias("explain", "EXPLAIN QUERY PLAN", "eqp"))]
    pub fn query_plan(&self, sql: &str) -> Result<QueryPlan> {
        let statement = skip_blank(sql);
        if statement.is_empty() {
            return Err(Error::new(ErrorKind::EmptySql).in_sql(sql));
        }
        if pragma_name(statement).is_some() {
            let reason = "a pragma has no query plan, and takes effect where it is explained";
            return Err(Error::new(ErrorKind::Misuse { reason }).in_sql(sql));
        }
        let mut explain = self.prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?;
        let mut rows = explain.query_unbound()?;
        let mut steps = Vec::new();
        while let Some(row) = rows.next()? {
            let detail: Box<str> = match row.value(3)? {
                ValueRef::Text(detail) => String::from_utf8_lossy(detail).into(),
                _ => Box::default(),
            };
            steps.push((row.get(0)?, row.get(1)?, detail));
        }
        rows.finish()?;
        Ok(QueryPlan { sql: sql.into(), nodes: tree(steps) })
    }
}

/// Makes a tree of steps, each with its number, that of its parent, and its text. A step whose parent does not come
/// before it is one of the first level.
fn tree(steps: Vec<(i64, i64, Box<str>)>) -> Vec<PlanNode> {
    let numbers: Vec<(i64, i64)> = steps.iter().map(|&(id, parent, _)| (id, parent)).collect();
    let mut children: Vec<Vec<PlanNode>> = steps.iter().map(|_| Vec::new()).collect();
    let mut roots = Vec::new();
    for (at, (id, parent, detail)) in steps.into_iter().enumerate().rev() {
        let mut own = children.pop().unwrap_or_default();
        own.reverse();
        let step = PlanStep::of(&detail);
        let node = PlanNode { id, detail, step, children: own };
        match numbers[..at].iter().rposition(|&(other, _)| other == parent) {
            Some(parent) => children[parent].push(node),
            None => roots.push(node),
        }
    }
    roots.reverse();
    roots
}

impl QueryPlan {
    /// Returns the SQL whose plan it is.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Returns the steps of the first level. Empty for a statement that reads nothing, such as `INSERT … VALUES`.
    #[must_use]
    pub fn nodes(&self) -> &[PlanNode] {
        &self.nodes
    }

    /// Returns an iterator over all steps, each before those within it.
    pub fn steps(&self) -> impl Iterator<Item = &PlanNode> {
        let mut left: Vec<&PlanNode> = self.nodes.iter().rev().collect();
        std::iter::from_fn(move || {
            let node = left.pop()?;
            left.extend(node.children.iter().rev());
            Some(node)
        })
    }

    /// Whether a step reads the index of this name. ASCII letters are compared without case.
    #[must_use]
    pub fn uses_index(&self, index: &str) -> bool {
        let is_it = |used: &PlanIndex| matches!(used, PlanIndex::Named(name) if name.eq_ignore_ascii_case(index));
        self.steps().any(|node| node.step.index().is_some_and(is_it))
    }

    /// Whether a step reads all rows of a table, or all entries of one of its indexes. ASCII letters are compared
    /// without case.
    ///
    /// The name is that of the table in the statement: its alias, if it has one.
    #[must_use]
    pub fn scans_table(&self, table: &str) -> bool {
        self.full_scans().any(|scanned| scanned.eq_ignore_ascii_case(table))
    }

    /// Returns the names of the tables that are read from the first row to the last, or whose index is. Virtual tables,
    /// which search in their own way, rows of subqueries, and constants are not among them. A common table expression
    /// that is read under an alias is, because its steps do not show that it is no table.
    pub fn full_scans(&self) -> impl Iterator<Item = &str> {
        let subqueries: BTreeSet<&str> = self.steps().filter_map(|node| step::subquery(&node.detail)).collect();
        self.steps().filter_map(move |node| match &node.step {
            PlanStep::Scan { index: Some(PlanIndex::Virtual(_)), .. } => None,
            PlanStep::Scan { table, .. } if subqueries.contains(&**table) || table.starts_with('(') => None,
            PlanStep::Scan { table, .. } => Some(&**table),
            _ => None,
        })
    }

    /// Panics if no step reads the index of this name.
    ///
    /// # Panics
    ///
    /// With the plan and the SQL, if [`uses_index`](Self::uses_index) is `false`.
    #[track_caller]
    pub fn assert_uses_index(&self, index: &str) {
        assert!(self.uses_index(index), "the index {index} is not used\n{self}\nin: {}", self.sql);
    }

    /// Panics if a table, or an index, is read from its first row to its last.
    ///
    /// # Panics
    ///
    /// With the plan and the SQL, if [`full_scans`](Self::full_scans) returns a table.
    #[track_caller]
    pub fn assert_no_full_scan(&self) {
        if let Some(table) = self.full_scans().next() {
            panic!("{table} is read from its first row to its last\n{self}\nin: {}", self.sql);
        }
    }
}

impl fmt::Display for QueryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QUERY PLAN")?;
        write_level(f, &self.nodes, &mut String::new())
    }
}

/// Writes the steps of a level, each on a line, with what it stands below.
fn write_level(f: &mut fmt::Formatter<'_>, nodes: &[PlanNode], indent: &mut String) -> fmt::Result {
    for (n, node) in nodes.iter().enumerate() {
        let is_last = n + 1 == nodes.len();
        let branch = if is_last { "`--" } else { "|--" };
        write!(f, "\n{indent}{branch}{}", node.detail)?;
        let len = indent.len();
        indent.push_str(if is_last { "   " } else { "|  " });
        write_level(f, &node.children, indent)?;
        indent.truncate(len);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_without_its_parent_is_on_the_first_level() {
        let step = |id, parent| (id, parent, Box::from(format!("{id}")));
        let nodes = tree(vec![step(5, 9), step(2, 0), step(3, 2), step(4, 3), step(6, 2), step(7, 7)]);
        let plan = QueryPlan { sql: "".into(), nodes };
        assert_eq!(plan.to_string(), "QUERY PLAN\n|--5\n|--2\n|  |--3\n|  |  `--4\n|  `--6\n`--7");
        let order: Vec<i64> = plan.steps().map(|node| node.id).collect();
        assert_eq!(order, [5, 2, 3, 4, 6, 7]);
    }
}
