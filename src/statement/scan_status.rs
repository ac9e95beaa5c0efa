//! Figures of each step of a statement (feature `scan-status`).

use super::Statement;

/// A step of a statement with what SQLite has measured: a loop over a table or an index, a sort, a subquery.
///
/// C: [Prepared Statement Scan Status Opcodes](https://sqlite.org/c3ref/c_scanstat_est.html)
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ScanStep {
    /// Number of times the loop was run; `None` for a step that is no loop.
    pub loops: Option<u64>,
    /// Number of rows that the loop has visited, in all its runs.
    pub visits: Option<u64>,
    /// Rows that the planner expects of each run of the loop.
    pub estimated_rows: f64,
    /// Name of the table or index.
    pub name: Option<Box<str>>,
    /// Text of the step, as in `EXPLAIN QUERY PLAN`.
    pub explain: Box<str>,
    /// Number of the step, as in `EXPLAIN QUERY PLAN`.
    pub id: i32,
    /// Number of the step in which it is; 0 for none.
    pub parent: i32,
    /// Cycles of the processor that it took, if SQLite was compiled to count them for this processor.
    pub cycles: Option<u64>,
}

impl Statement<'_> {
    /// Returns the steps of the statement with what was measured, summed over its executions since the last
    /// [`reset_scan_status`](Self::reset_scan_status). It has no steps of a statement without a plan.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2), (3)")?;
    /// let mut statement = conn.prepare("SELECT count(*) FROM t WHERE a > 1")?;
    /// assert_eq!(statement.query_one::<i64>(())?, 2);
    /// let steps = statement.scan_status();
    /// assert_eq!((&*steps[0].explain, steps[0].loops, steps[0].visits), ("SCAN t", Some(1), Some(3)));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_stmt_scanstatus_v2](https://sqlite.org/c3ref/stmt_scanstatus.html)
    #[must_use]
    #[doc(alias = "sqlite3_stmt_scanstatus")]
    pub fn scan_status(&self) -> Vec<ScanStep> {
        let figure = |figure: i64| u64::try_from(figure).ok();
        let steps = self.raw().scan_status().into_iter().map(|step| ScanStep {
            loops: figure(step.loops),
            visits: figure(step.visits),
            estimated_rows: step.estimate,
            name: step.name,
            explain: step.explain,
            id: step.id,
            parent: step.parent,
            cycles: figure(step.cycles),
        });
        steps.collect()
    }

    /// Sets what was measured to 0.
    ///
    /// C: [sqlite3_stmt_scanstatus_reset](https://sqlite.org/c3ref/stmt_scanstatus_reset.html)
    pub fn reset_scan_status(&mut self) {
        self.raw_mut().reset_scan_status();
    }
}
