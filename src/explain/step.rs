//! [`PlanStep`]: the text of a step, and its parts.

/// A step of a query plan. From [`PlanNode::step`](super::PlanNode::step).
///
/// SQL: [EXPLAIN QUERY PLAN](https://sqlite.org/eqp.html#the_explain_query_plan_command)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanStep {
    /// Reads all rows of a table or a subquery, or all entries of an index.
    #[non_exhaustive]
    Scan {
        /// Name of the table or subquery in the statement: its alias, if it has one.
        table: Box<str>,
        /// Index that is read; `None` if the table itself is.
        index: Option<PlanIndex>,
        /// Whether the index has all columns that are needed, so that the table is not read.
        is_covering: bool,
    },
    /// Reads some rows of a table, which an index, or the order of the table, leads to.
    #[non_exhaustive]
    Search {
        /// Name of the table in the statement: its alias, if it has one.
        table: Box<str>,
        /// Index that is read; `None` for the lowest or highest rowid.
        index: Option<PlanIndex>,
        /// Whether the index has all columns that are needed, so that the table is not read.
        is_covering: bool,
        /// Terms that restrict the rows, such as `people>?`.
        constraint: Option<Box<str>>,
    },
    /// Sorts or compares rows in a temporary tree.
    #[non_exhaustive]
    UseTempBTree {
        /// Reason, such as `ORDER BY` or `DISTINCT`.
        purpose: Box<str>,
    },
    /// Looks up a value of `IN` in an index, or in a table by its rowid.
    #[non_exhaustive]
    InOperator {
        /// Index that is read.
        index: PlanIndex,
    },
    /// Any other step, which [`PlanNode::detail`](super::PlanNode::detail) describes: a subquery, a compound, rows that
    /// the statement contains.
    Other,
}

/// Index by which a step finds rows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanIndex {
    /// An index of the schema, by its name.
    Named(Box<str>),
    /// The rowid, or `INTEGER PRIMARY KEY`.
    Rowid,
    /// The primary key of a table `WITHOUT ROWID`.
    PrimaryKey,
    /// An index that SQLite builds for this execution.
    Automatic,
    /// The choice of a virtual table's module: a number and a text of its own.
    Virtual(Box<str>),
}

impl PlanStep {
    /// Returns the index that the step reads.
    #[must_use]
    pub fn index(&self) -> Option<&PlanIndex> {
        match self {
            Self::Scan { index, .. } | Self::Search { index, .. } => index.as_ref(),
            Self::InOperator { index } => Some(index),
            Self::UseTempBTree { .. } | Self::Other => None,
        }
    }

    /// Returns the step that a text of SQLite describes.
    pub(super) fn of(detail: &str) -> Self {
        if let Some(rest) = detail.strip_prefix("SCAN ") {
            if is_constant(rest) {
                return Self::Other;
            }
            let Access { table, index, is_covering, .. } = Access::of(rest);
            return Self::Scan { table, index, is_covering };
        }
        if let Some(rest) = detail.strip_prefix("SEARCH ") {
            let Access { table, index, is_covering, constraint } = Access::of(rest);
            return Self::Search { table, index, is_covering, constraint };
        }
        if let Some(purpose) = detail.strip_prefix("USE TEMP B-TREE FOR ") {
            return Self::UseTempBTree { purpose: purpose.into() };
        }
        // A compound: `UNION USING TEMP B-TREE`.
        if let Some(purpose) = detail.strip_suffix(" USING TEMP B-TREE") {
            return Self::UseTempBTree { purpose: purpose.into() };
        }
        let lookup = detail.strip_suffix(" FOR IN-OPERATOR");
        if let Some(name) = lookup.and_then(|lookup| lookup.strip_prefix("USING INDEX ")) {
            return Self::InOperator { index: PlanIndex::Named(name.into()) };
        }
        if lookup.is_some_and(|lookup| lookup.starts_with("USING ROWID SEARCH ")) {
            return Self::InOperator { index: PlanIndex::Rowid };
        }
        Self::Other
    }
}

/// Returns the name of the subquery whose rows a step makes: a coroutine, a materialized subquery.
pub(super) fn subquery(detail: &str) -> Option<&str> {
    detail.strip_prefix("CO-ROUTINE ").or_else(|| detail.strip_prefix("MATERIALIZE "))
}

/// Whether what is scanned is rows that the statement contains: `CONSTANT ROW`, `3 CONSTANT ROWS`, `2-ROW VALUES CLAUSE`.
fn is_constant(scanned: &str) -> bool {
    let after_number = scanned.trim_start_matches(|c: char| c.is_ascii_digit());
    let scanned = scanned.strip_prefix("CONSTANT ROW").or_else(|| after_number.strip_prefix(" CONSTANT ROW"));
    scanned.is_some_and(|rest| ["", "S"].contains(&rest.split(' ').next().unwrap_or_default()))
        || after_number == "-ROW VALUES CLAUSE"
}

/// The parts of a scan or a search.
struct Access {
    table: Box<str>,
    index: Option<PlanIndex>,
    is_covering: bool,
    constraint: Option<Box<str>>,
}

impl Access {
    /// Splits the text after `SCAN` or `SEARCH`.
    fn of(text: &str) -> Self {
        let text = without_suffixes(text);
        let found = MARKS.iter().filter_map(|mark| Some((text.find(mark.text)?, mark))).min_by_key(|&(at, _)| at);
        let Some((at, mark)) = found else {
            return Self { table: table(text), index: None, is_covering: false, constraint: None };
        };
        let rest = &text[at + mark.text.len()..];
        if mark.kind == Kind::Virtual {
            let index = Some(PlanIndex::Virtual(rest.into()));
            return Self { table: table(&text[..at]), index, is_covering: false, constraint: None };
        }
        let (name, constraint) = match rest.split_once(" (") {
            Some((name, constraint)) => (name, constraint.strip_suffix(')').or(Some(constraint))),
            None => (rest, None),
        };
        let index = match mark.kind {
            Kind::Named => PlanIndex::Named(name.into()),
            Kind::Rowid => PlanIndex::Rowid,
            Kind::PrimaryKey => PlanIndex::PrimaryKey,
            Kind::Automatic | Kind::Virtual => PlanIndex::Automatic,
        };
        Self {
            table: table(&text[..at]),
            index: Some(index),
            is_covering: mark.is_covering,
            constraint: constraint.map(Into::into),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Named,
    Rowid,
    PrimaryKey,
    Automatic,
    Virtual,
}

/// Words between a table and its index.
struct Mark {
    text: &'static str,
    kind: Kind,
    is_covering: bool,
}

const MARKS: [Mark; 7] = [
    Mark { text: " USING INDEX ", kind: Kind::Named, is_covering: false },
    Mark { text: " USING COVERING INDEX ", kind: Kind::Named, is_covering: true },
    Mark { text: " USING INTEGER PRIMARY KEY", kind: Kind::Rowid, is_covering: false },
    Mark { text: " USING PRIMARY KEY", kind: Kind::PrimaryKey, is_covering: false },
    Mark { text: " USING AUTOMATIC COVERING INDEX", kind: Kind::Automatic, is_covering: true },
    Mark { text: " USING AUTOMATIC PARTIAL COVERING INDEX", kind: Kind::Automatic, is_covering: true },
    Mark { text: " VIRTUAL TABLE INDEX ", kind: Kind::Virtual, is_covering: false },
];

/// Returns the text without what may stand at its end: an estimate of rows, where SQLite was compiled to give one, and
/// the kind of a join.
fn without_suffixes(text: &str) -> &str {
    let text = match text.rfind(" (~") {
        Some(at) if text.ends_with(" rows)") || text.ends_with(" row)") => &text[..at],
        _ => text,
    };
    text.strip_suffix(" LEFT-JOIN").unwrap_or(text)
}

/// Returns the name of a table, after which newer versions say that a row has to exist only.
fn table(text: &str) -> Box<str> {
    text.strip_suffix(" EXISTS").unwrap_or(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(table: &str, index: Option<PlanIndex>, is_covering: bool) -> PlanStep {
        PlanStep::Scan { table: table.into(), index, is_covering }
    }

    fn search(table: &str, index: Option<PlanIndex>, is_covering: bool, constraint: Option<&str>) -> PlanStep {
        PlanStep::Search { table: table.into(), index, is_covering, constraint: constraint.map(Into::into) }
    }

    fn named(name: &str) -> Option<PlanIndex> {
        Some(PlanIndex::Named(name.into()))
    }

    #[test]
    fn texts_of_scans_and_searches_have_parts() {
        use PlanIndex::{Automatic, PrimaryKey, Rowid, Virtual};
        for (detail, step) in [
            ("SCAN t", scan("t", None, false)),
            ("SCAN t LEFT-JOIN", scan("t", None, false)),
            ("SCAN a b", scan("a b", None, false)),
            ("SCAN CONSTANT", scan("CONSTANT", None, false)),
            ("SCAN t (~1048576 rows)", scan("t", None, false)),
            ("SCAN t USING INDEX i", scan("t", named("i"), false)),
            ("SCAN t USING COVERING INDEX i LEFT-JOIN", scan("t", named("i"), true)),
            ("SCAN f VIRTUAL TABLE INDEX 0:M1", scan("f", Some(Virtual("0:M1".into())), false)),
            ("SCAN f VIRTUAL TABLE INDEX 0x2:", scan("f", Some(Virtual("0x2:".into())), false)),
            ("SEARCH t", search("t", None, false, None)),
            ("SEARCH t USING INDEX i (a=? AND b>?)", search("t", named("i"), false, Some("a=? AND b>?"))),
            (
                "SEARCH t USING INDEX i (a=? AND (b,c)>(?,?))",
                search("t", named("i"), false, Some("a=? AND (b,c)>(?,?)")),
            ),
            ("SEARCH t USING COVERING INDEX i (ANY(a) AND b=?)", search("t", named("i"), true, Some("ANY(a) AND b=?"))),
            ("SEARCH t EXISTS USING INDEX i (a=?)", search("t", named("i"), false, Some("a=?"))),
            ("SEARCH t USING INTEGER PRIMARY KEY (rowid=?)", search("t", Some(Rowid), false, Some("rowid=?"))),
            ("SEARCH t USING INTEGER PRIMARY KEY (rowid>? AND rowid<?) LEFT-JOIN (~1 row)", {
                search("t", Some(Rowid), false, Some("rowid>? AND rowid<?"))
            }),
            ("SEARCH t USING PRIMARY KEY (a=?)", search("t", Some(PrimaryKey), false, Some("a=?"))),
            ("SEARCH t USING AUTOMATIC COVERING INDEX (a=?)", search("t", Some(Automatic), true, Some("a=?"))),
            ("SEARCH t USING AUTOMATIC PARTIAL COVERING INDEX (a=?)", search("t", Some(Automatic), true, Some("a=?"))),
        ] {
            assert_eq!(PlanStep::of(detail), step, "{detail}");
        }
    }

    #[test]
    fn other_texts_have_their_kind() {
        for purpose in ["ORDER BY", "LAST TERM OF ORDER BY", "RIGHT PART OF ORDER BY", "DISTINCT", "count(DISTINCT)"] {
            let step = PlanStep::UseTempBTree { purpose: purpose.into() };
            assert_eq!(PlanStep::of(&format!("USE TEMP B-TREE FOR {purpose}")), step);
        }
        assert_eq!(PlanStep::of("UNION USING TEMP B-TREE"), PlanStep::UseTempBTree { purpose: "UNION".into() });
        let index = PlanIndex::Named("i".into());
        assert_eq!(PlanStep::of("USING INDEX i FOR IN-OPERATOR"), PlanStep::InOperator { index });
        let index = PlanIndex::Rowid;
        assert_eq!(PlanStep::of("USING ROWID SEARCH ON TABLE t FOR IN-OPERATOR"), PlanStep::InOperator { index });
        for other in [
            "SCAN CONSTANT ROW",
            "SCAN 3 CONSTANT ROWS",
            "SCAN 2-ROW VALUES CLAUSE",
            "CO-ROUTINE x",
            "MATERIALIZE x",
            "COMPOUND QUERY",
            "MULTI-INDEX OR",
            "INDEX 1",
            "MERGE (UNION)",
            "CORRELATED SCALAR SUBQUERY 2",
            "BLOOM FILTER ON t (a=?)",
            "CREATE BLOOM FILTER",
            "RIGHT-JOIN t",
            "",
        ] {
            assert_eq!(PlanStep::of(other), PlanStep::Other, "{other}");
        }
    }
}
