//! What the two drivers do differently on purpose: those of the table in `docs/from_rusqlite.md` that SQL can show.

use super::drivers::{Failure, Given, Operation, Outcome, Read, State, Value};

/// A difference that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// `execute` of a statement that returns rows: rusqlite refuses it, after its first step.
    ExecuteOfRows,
    /// The number of rows that `execute` of a statement returns which changes none: with rusqlite, the last statement's.
    CountOfOthers,
    /// SQL without a statement: rusqlite prepares one that does nothing, or fails when it is stepped.
    EmptySql,
    /// NaN: rusqlite stores NULL.
    NotANumber,
    /// A parameter without a value: rusqlite leaves it NULL where values are given by name, and in scripts.
    UnsetParameter,
    /// An integer other than 0 and 1 read as `bool`: true with rusqlite.
    OtherIntegersAsBool,
    /// NUL in SQL: rusqlite reads up to it.
    Nul,
    /// A row of a statement that returns none, as an `INSERT` without `RETURNING`: rusqlite runs it and finds no row.
    RowOfNone,
    /// A script that began a transaction and failed: rusqlite leaves it open.
    FailedScript,
    /// SQL after the first statement: rusqlite parses it before it refuses it, and returns what SQLite says of it.
    Trailing,
    /// More columns than the type reads: rusqlite leaves the others.
    ColumnCount,
    /// A blob of no bytes in expanded SQL: rusqlite binds `zeroblob(0)`.
    EmptyBlob,
    /// Text read as bytes: an error with rusqlite.
    BytesOfText,
    /// The first row of a statement whose end fails, as an `INSERT … RETURNING` that breaks a deferred foreign key:
    /// rusqlite returns the row, of which nothing is stored; `execute_batch` takes one step of each statement.
    EndOfStatement,
    /// An integer that no `f64` is equal to, read as one: rounded with rusqlite.
    RoundedInteger,
    /// Parameters that do not fit a statement which SQLite refuses in the present schema: finalite has it in its cache, and
    /// looks at the parameters first.
    CachedStatement,
}

/// Those that a few hundred histories show.
pub const COMMON: [Difference; 15] = [
    Difference::ExecuteOfRows,
    Difference::CountOfOthers,
    Difference::EmptySql,
    Difference::NotANumber,
    Difference::UnsetParameter,
    Difference::OtherIntegersAsBool,
    Difference::Nul,
    Difference::RowOfNone,
    Difference::FailedScript,
    Difference::Trailing,
    Difference::ColumnCount,
    Difference::EmptyBlob,
    Difference::BytesOfText,
    Difference::EndOfStatement,
    Difference::RoundedInteger,
];

impl Difference {
    /// Whether one of the drivers has run what the other has not, or has ended a transaction.
    pub fn parts_the_databases(self) -> bool {
        matches!(
            self,
            Self::EndOfStatement
                | Self::ExecuteOfRows
                | Self::FailedScript
                | Self::Nul
                | Self::RowOfNone
                | Self::UnsetParameter
                | Self::NotANumber
        )
    }
}

/// Returns the known difference that explains two outcomes, or two states after the same outcome. The states are
/// rusqlite's.
pub fn known(
    operation: &Operation,
    ours: &Outcome,
    theirs: &Outcome,
    before: &State,
    after: &State,
) -> Option<Difference> {
    let is_failure =
        |outcome: &Outcome, failure: &Failure| matches!(outcome, Outcome::Failed(found) if found == failure);
    if let (Outcome::Twice(ours), Outcome::Twice(theirs)) = (ours, theirs)
        && let Some(at) = ours.iter().zip(theirs.iter()).position(|(ours, theirs)| ours != theirs)
    {
        return known(operation, &ours[at], &theirs[at], before, after);
    }
    if ours == theirs {
        let is_script = matches!(operation, Operation::Batch { .. });
        return (is_script && before.is_autocommit && !after.is_autocommit).then_some(Difference::FailedScript);
    }
    if is_failure(theirs, &Failure::ReturnsRows) {
        return Some(Difference::ExecuteOfRows);
    }
    if let (Outcome::Count(0), Outcome::Count(_)) = (ours, theirs) {
        return Some(Difference::CountOfOthers);
    }
    if is_failure(ours, &Failure::Empty) {
        return Some(Difference::EmptySql);
    }
    if is_failure(ours, &Failure::ReturnsNone) {
        return Some(Difference::RowOfNone);
    }
    if is_failure(ours, &Failure::SeveralStatements) && matches!(theirs, Outcome::Failed(Failure::Sqlite { .. })) {
        return Some(Difference::Trailing);
    }
    if is_failure(ours, &Failure::ColumnCount) {
        return Some(Difference::ColumnCount);
    }
    if is_failure(ours, &Failure::Nul) {
        return Some(Difference::Nul);
    }
    if is_failure(ours, &Failure::ParameterValue) && has_nan(operation) {
        return Some(Difference::NotANumber);
    }
    let by_position = matches!(given(operation), Some(Given::ByPosition(_)));
    if is_failure(ours, &Failure::ParameterUnset) || !by_position && is_failure(ours, &Failure::ParameterCount) {
        return Some(Difference::UnsetParameter);
    }
    if let (Outcome::Expanded(ours), Outcome::Expanded(theirs)) = (ours, theirs)
        && ours.replace("zeroblob(0)", "x''") == theirs.replace("zeroblob(0)", "x''")
    {
        return Some(Difference::EmptyBlob);
    }
    if let (Outcome::Failed(mine), Outcome::Failed(Failure::Sqlite { .. })) = (ours, theirs)
        && matches!(
            mine,
            Failure::NoSuchParameter | Failure::ParameterCount | Failure::ParameterUnset | Failure::ParameterValue
        )
    {
        return Some(Difference::CachedStatement);
    }
    // A conversion that one of them refuses comes before a second row.
    let goes_on = |outcome: &Outcome| matches!(outcome, Outcome::Cell(_)) || is_failure(outcome, &Failure::SeveralRows);
    let refuses = |outcome: &Outcome| matches!(outcome, Outcome::Failed(Failure::Conversion(_)));
    match operation {
        Operation::One { read: Read::Bytes, .. } | Operation::Row { read: Read::Bytes, .. }
            if goes_on(ours) && refuses(theirs) =>
        {
            Some(Difference::BytesOfText)
        }
        Operation::One { read: Read::Bool, .. } | Operation::Row { read: Read::Bool, .. }
            if refuses(ours) && goes_on(theirs) =>
        {
            Some(Difference::OtherIntegersAsBool)
        }
        Operation::One { read: Read::F64, .. } | Operation::Row { read: Read::F64, .. }
            if refuses(ours) && goes_on(theirs) =>
        {
            Some(Difference::RoundedInteger)
        }
        Operation::One { .. } | Operation::Row { .. }
            if matches!(ours, Outcome::Failed(Failure::Sqlite { .. }))
                && (goes_on(theirs) || refuses(theirs) || is_failure(theirs, &Failure::NoSuchColumn)) =>
        {
            Some(Difference::EndOfStatement)
        }
        Operation::Batch { script }
            if ["RETURNING", "SELECT"].iter().any(|word| script.contains(word))
                && matches!(ours, Outcome::Failed(Failure::Sqlite { .. })) =>
        {
            Some(Difference::EndOfStatement)
        }
        _ => None,
    }
}

fn given(operation: &Operation) -> Option<&Given> {
    match operation {
        Operation::Query { given, .. }
        | Operation::Execute { given, .. }
        | Operation::One { given, .. }
        | Operation::Row { given, .. }
        | Operation::Again { given, .. }
        | Operation::Expand { given, .. } => Some(given),
        Operation::Batch { .. } | Operation::Describe { .. } => None,
    }
}

fn has_nan(operation: &Operation) -> bool {
    let is_nan = |value: &Value| matches!(value, Value::Real(value) if value.is_nan());
    match given(operation) {
        Some(Given::ByPosition(values)) => values.iter().any(is_nan),
        Some(Given::ByName(values)) => values.iter().any(|(_, value)| is_nan(value)),
        None => false,
    }
}
