//! Both drivers behind one interface, with what they return in one form.

use finalite::{ErrorKind, FromSql, NameKind, params_from_iter};
use rusqlite::types::Value as TheirValue;

/// A value as SQLite has it. Text is bytes: it need not be UTF-8.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

/// Reals are compared by their bits.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Real(a), Self::Real(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) | (Self::Blob(a), Self::Blob(b)) => a == b,
            _ => false,
        }
    }
}

/// Parameters of one call.
#[derive(Clone, Debug)]
pub enum Given {
    ByPosition(Vec<Value>),
    ByName(Vec<(String, Value)>),
}

/// Rust type that a cell is read as.
#[derive(Clone, Copy, Debug)]
pub enum Read {
    I64,
    I32,
    U8,
    F64,
    Bool,
    Text,
    Bytes,
    OptionalI64,
    OptionalText,
}

pub const READS: [Read; 9] = [
    Read::I64,
    Read::I32,
    Read::U8,
    Read::F64,
    Read::Bool,
    Read::Text,
    Read::Bytes,
    Read::OptionalI64,
    Read::OptionalText,
];

/// One call of a driver.
#[derive(Clone, Debug)]
pub enum Operation {
    /// All rows, or the first ones, after which the rows are dropped.
    Query {
        sql: String,
        given: Given,
        most: usize,
    },
    Execute {
        sql: String,
        given: Given,
    },
    Batch {
        script: String,
    },
    /// The first column of the only row.
    One {
        sql: String,
        given: Given,
        read: Read,
    },
    /// One column of the first row.
    Row {
        sql: String,
        given: Given,
        column: usize,
        read: Read,
    },
    /// A statement that runs, once more after a script.
    Again {
        sql: String,
        given: Given,
        between: String,
    },
    /// Names, declared types, parameters.
    Describe {
        sql: String,
    },
    /// The SQL with its parameters.
    Expand {
        sql: String,
        given: Given,
    },
}

/// What a call returned.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Rows {
        names: Vec<String>,
        rows: Vec<Vec<Value>>,
    },
    Twice(Box<[Outcome; 2]>),
    Count(usize),
    Done,
    /// `Debug` of the value that was read.
    Cell(String),
    Described {
        columns: Vec<(String, Option<String>)>,
        parameters: Vec<Option<String>>,
        is_readonly: bool,
    },
    Expanded(String),
    Failed(Failure),
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The extended result code, and the 1-based line and column in the SQL.
    Sqlite {
        code: i32,
        at: Option<(usize, usize)>,
    },
    NoRow,
    SeveralRows,
    /// A value that the type does not have; the 0-based column.
    Conversion(usize),
    ColumnCount,
    NoSuchColumn,
    NoSuchParameter,
    ParameterCount,
    ParameterUnset,
    ParameterValue,
    SeveralStatements,
    ReturnsRows,
    ReturnsNone,
    Empty,
    Nul,
    /// What the other driver has no word for.
    Other(String),
}

impl Outcome {
    /// Removes places of errors that rusqlite does not know. finalite has one wherever SQLite or the SQL tells it; in a
    /// script, rusqlite's is that in the rest of the script.
    pub fn forget_places_that_lack_in(&mut self, other: &Self, is_script: bool) {
        match (self, other) {
            (Self::Failed(Failure::Sqlite { at, .. }), Self::Failed(Failure::Sqlite { at: other, .. }))
                if is_script || other.is_none() =>
            {
                *at = *other;
            }
            (Self::Twice(ours), Self::Twice(others)) => {
                for (ours, other) in ours.iter_mut().zip(others.iter()) {
                    ours.forget_places_that_lack_in(other, is_script);
                }
            }
            _ => (),
        }
    }
}

/// State of a connection after a call.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub is_autocommit: bool,
    pub last_insert_rowid: i64,
    pub total_changes: u64,
}

pub trait Driver {
    fn run(&mut self, operation: &Operation) -> Outcome;
    fn state(&self) -> State;
}

pub struct Ours(pub finalite::Connection);
pub struct Theirs(pub rusqlite::Connection);

impl From<&Value> for finalite::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(value) => Self::Integer(*value),
            Value::Real(value) => Self::Real(*value),
            Value::Text(text) => Self::Text(String::from_utf8(text.clone()).unwrap()),
            Value::Blob(bytes) => Self::Blob(bytes.clone()),
        }
    }
}

impl From<&Value> for TheirValue {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(value) => Self::Integer(*value),
            Value::Real(value) => Self::Real(*value),
            Value::Text(text) => Self::Text(String::from_utf8(text.clone()).unwrap()),
            Value::Blob(bytes) => Self::Blob(bytes.clone()),
        }
    }
}

/// finalite's parameters of either kind.
impl<'p> finalite::Params<'p> for &Given {
    fn bind(self, binder: &mut finalite::Binder<'_, 'p>) -> finalite::Result<()> {
        match self {
            Given::ByPosition(values) => params_from_iter(values.iter().map(finalite::Value::from)).bind(binder),
            Given::ByName(values) => finalite::named_params_from_iter(
                values.iter().map(|(name, value)| (name, finalite::Value::from(value))),
            )
            .bind(binder),
        }
    }
}

impl Driver for Ours {
    fn run(&mut self, operation: &Operation) -> Outcome {
        self.outcome(operation).unwrap_or_else(|error| Outcome::Failed(our_failure(&error)))
    }

    fn state(&self) -> State {
        State {
            is_autocommit: self.0.is_autocommit(),
            last_insert_rowid: self.0.last_insert_rowid(),
            total_changes: self.0.total_changes(),
        }
    }
}

impl Ours {
    fn outcome(&self, operation: &Operation) -> finalite::Result<Outcome> {
        Ok(match operation {
            Operation::Query { sql, given, most } => {
                let mut statement = self.0.prepare(sql)?;
                our_rows(&mut statement, given, *most)?
            }
            Operation::Execute { sql, given } => Outcome::Count(self.0.execute(sql, given)?),
            Operation::Batch { script } => {
                self.0.execute_batch(script)?;
                Outcome::Done
            }
            Operation::One { sql, given, read } => self.our_one(sql, given, *read)?,
            Operation::Row { sql, given, column, read } => {
                self.0.query_row(sql, given, |row| our_cell(row, *column, *read))?
            }
            Operation::Again { sql, given, between } => {
                let mut statement = self.0.prepare(sql)?;
                let first = failed(our_rows(&mut statement, given, usize::MAX), our_failure);
                drop(self.0.execute_batch(between));
                let second = failed(our_rows(&mut statement, given, usize::MAX), our_failure);
                Outcome::Twice(Box::new([first, second]))
            }
            Operation::Describe { sql } => {
                let statement = self.0.prepare(sql)?;
                let columns = statement.columns()?;
                Outcome::Described {
                    columns: columns
                        .iter()
                        .map(|column| (column.name().to_owned(), column.declared_type().map(str::to_owned)))
                        .collect(),
                    parameters: (1..=statement.parameter_count())
                        .map(|index| statement.parameter_name(index).map(str::to_owned))
                        .collect(),
                    is_readonly: statement.is_readonly(),
                }
            }
            Operation::Expand { sql, given } => Outcome::Expanded(self.0.prepare(sql)?.expanded_sql(given)?.into()),
        })
    }
}

impl Ours {
    fn our_one(&self, sql: &str, given: &Given, read: Read) -> finalite::Result<Outcome> {
        fn one<T: for<'row> finalite::FromRow<'row> + std::fmt::Debug>(
            conn: &finalite::Connection,
            sql: &str,
            given: &Given,
        ) -> finalite::Result<String> {
            conn.query_one::<T>(sql, given).map(|value| format!("{value:?}"))
        }
        let shown = match read {
            Read::I64 => one::<i64>(&self.0, sql, given),
            Read::I32 => one::<i32>(&self.0, sql, given),
            Read::U8 => one::<u8>(&self.0, sql, given),
            Read::F64 => one::<f64>(&self.0, sql, given),
            Read::Bool => one::<bool>(&self.0, sql, given),
            Read::Text => one::<String>(&self.0, sql, given),
            Read::Bytes => one::<Vec<u8>>(&self.0, sql, given),
            Read::OptionalI64 => one::<Option<i64>>(&self.0, sql, given),
            Read::OptionalText => one::<Option<String>>(&self.0, sql, given),
        };
        Ok(Outcome::Cell(shown?))
    }
}

fn failed<E>(outcome: Result<Outcome, E>, failure: fn(&E) -> Failure) -> Outcome {
    outcome.unwrap_or_else(|error| Outcome::Failed(failure(&error)))
}

fn our_rows(statement: &mut finalite::Statement<'_>, given: &Given, most: usize) -> finalite::Result<Outcome> {
    let mut read = Vec::new();
    let mut rows = statement.query(given)?;
    while read.len() < most
        && let Some(row) = rows.next()?
    {
        let cells: finalite::Result<_> =
            (0..row.column_count()).map(|column| Ok(our_value(row.value(column)?))).collect();
        read.push(cells?);
    }
    drop(rows);
    let names = statement.column_names()?.map(str::to_owned).collect();
    Ok(Outcome::Rows { names, rows: read })
}

fn our_value(value: finalite::ValueRef<'_>) -> Value {
    match value {
        finalite::ValueRef::Null => Value::Null,
        finalite::ValueRef::Integer(value) => Value::Integer(value),
        finalite::ValueRef::Real(value) => Value::Real(value),
        finalite::ValueRef::Text(text) => Value::Text(text.to_vec()),
        finalite::ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

fn our_cell(row: finalite::Row<'_>, column: usize, read: Read) -> finalite::Result<Outcome> {
    fn shown<'row, T: FromSql<'row> + std::fmt::Debug>(
        row: finalite::Row<'row>,
        column: usize,
    ) -> finalite::Result<String> {
        row.get::<T>(column).map(|value| format!("{value:?}"))
    }
    let shown = match read {
        Read::I64 => shown::<i64>(row, column),
        Read::I32 => shown::<i32>(row, column),
        Read::U8 => shown::<u8>(row, column),
        Read::F64 => shown::<f64>(row, column),
        Read::Bool => shown::<bool>(row, column),
        Read::Text => shown::<String>(row, column),
        Read::Bytes => shown::<Vec<u8>>(row, column),
        Read::OptionalI64 => shown::<Option<i64>>(row, column),
        Read::OptionalText => shown::<Option<String>>(row, column),
    };
    Ok(Outcome::Cell(shown?))
}

fn our_failure(error: &finalite::Error) -> Failure {
    if let Some(code) = error.extended_code() {
        let at = error.position().map(|position| (position.line, position.column));
        return Failure::Sqlite { code: code.number(), at };
    }
    match error.kind() {
        ErrorKind::RowCount { found: 0, .. } => Failure::NoRow,
        ErrorKind::RowCount { .. } => Failure::SeveralRows,
        ErrorKind::ColumnConversion { column, .. } => Failure::Conversion(*column),
        ErrorKind::ColumnCount { .. } => Failure::ColumnCount,
        ErrorKind::NoSuch { what: NameKind::Column, .. } => Failure::NoSuchColumn,
        ErrorKind::NoSuch { what: NameKind::Parameter, .. } => Failure::NoSuchParameter,
        ErrorKind::ParameterCount { .. } => Failure::ParameterCount,
        ErrorKind::ParameterUnset { .. } => Failure::ParameterUnset,
        ErrorKind::ParameterConversion { .. } => Failure::ParameterValue,
        ErrorKind::TrailingSql { .. } => Failure::SeveralStatements,
        ErrorKind::EmptySql => Failure::Empty,
        ErrorKind::NulInSql => Failure::Nul,
        ErrorKind::Misuse { reason, .. } if reason.starts_with("the statement returns no rows") => Failure::ReturnsNone,
        other => Failure::Other(other.to_string()),
    }
}

impl Driver for Theirs {
    fn run(&mut self, operation: &Operation) -> Outcome {
        self.outcome(operation).unwrap_or_else(|error| Outcome::Failed(their_failure(&error)))
    }

    fn state(&self) -> State {
        State {
            is_autocommit: self.0.is_autocommit(),
            last_insert_rowid: self.0.last_insert_rowid(),
            total_changes: self.0.total_changes(),
        }
    }
}

impl Theirs {
    fn outcome(&self, operation: &Operation) -> rusqlite::Result<Outcome> {
        Ok(match operation {
            Operation::Query { sql, given, most } => their_rows(&mut self.0.prepare(sql)?, given, *most)?,
            Operation::Execute { sql, given } => {
                let mut statement = self.0.prepare(sql)?;
                bound(&mut statement, given, |statement, values| match values {
                    Bound::ByPosition(values) => {
                        statement.execute(rusqlite::params_from_iter(values)).map(Outcome::Count)
                    }
                    Bound::ByName(values) => statement.execute(values).map(Outcome::Count),
                })?
            }
            Operation::Batch { script } => {
                self.0.execute_batch(script)?;
                Outcome::Done
            }
            Operation::One { sql, given, read } => {
                let mut statement = self.0.prepare(sql)?;
                bound(&mut statement, given, |statement, values| match values {
                    Bound::ByPosition(values) => {
                        statement.query_one(rusqlite::params_from_iter(values), |row| their_cell(row, 0, *read))
                    }
                    Bound::ByName(values) => statement.query_one(values, |row| their_cell(row, 0, *read)),
                })?
            }
            Operation::Row { sql, given, column, read } => {
                let mut statement = self.0.prepare(sql)?;
                bound(&mut statement, given, |statement, values| match values {
                    Bound::ByPosition(values) => {
                        statement.query_row(rusqlite::params_from_iter(values), |row| their_cell(row, *column, *read))
                    }
                    Bound::ByName(values) => statement.query_row(values, |row| their_cell(row, *column, *read)),
                })?
            }
            Operation::Again { sql, given, between } => {
                let mut statement = self.0.prepare(sql)?;
                let first = failed(their_rows(&mut statement, given, usize::MAX), their_failure);
                drop(self.0.execute_batch(between));
                let second = failed(their_rows(&mut statement, given, usize::MAX), their_failure);
                Outcome::Twice(Box::new([first, second]))
            }
            Operation::Describe { sql } => {
                let statement = self.0.prepare(sql)?;
                Outcome::Described {
                    columns: statement
                        .columns()
                        .map(|column| (column.name().to_owned(), column.decl_type().map(str::to_owned)))
                        .collect(),
                    parameters: (1..=statement.parameter_count())
                        .map(|index| statement.parameter_name(index).map(str::to_owned))
                        .collect(),
                    is_readonly: statement.readonly(),
                }
            }
            Operation::Expand { sql, given } => {
                let mut statement = self.0.prepare(sql)?;
                bound(&mut statement, given, |statement, values| {
                    match values {
                        Bound::ByPosition(values) => {
                            let wanted = statement.parameter_count();
                            if values.len() != wanted {
                                return Err(rusqlite::Error::InvalidParameterCount(values.len(), wanted));
                            }
                            for (index, value) in values.into_iter().enumerate() {
                                statement.raw_bind_parameter(index + 1, value)?;
                            }
                        }
                        Bound::ByName(values) => {
                            for (name, value) in values {
                                statement.raw_bind_parameter(*name, *value)?;
                            }
                        }
                    }
                    Ok(Outcome::Expanded(statement.expanded_sql().unwrap()))
                })?
            }
        })
    }
}

/// rusqlite's parameters of either kind.
enum Bound<'a> {
    ByPosition(Vec<TheirValue>),
    ByName(&'a [(&'a str, &'a dyn rusqlite::ToSql)]),
}

fn bound<T>(
    statement: &mut rusqlite::Statement<'_>,
    given: &Given,
    run: impl FnOnce(&mut rusqlite::Statement<'_>, Bound<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    match given {
        Given::ByPosition(values) => run(statement, Bound::ByPosition(values.iter().map(TheirValue::from).collect())),
        Given::ByName(values) => {
            let values: Vec<(&str, TheirValue)> =
                values.iter().map(|(name, value)| (name.as_str(), value.into())).collect();
            let values: Vec<_> = values.iter().map(|(name, value)| (*name, value as &dyn rusqlite::ToSql)).collect();
            run(statement, Bound::ByName(&values))
        }
    }
}

fn their_rows(statement: &mut rusqlite::Statement<'_>, given: &Given, most: usize) -> rusqlite::Result<Outcome> {
    fn read(mut rows: rusqlite::Rows<'_>, most: usize) -> rusqlite::Result<Vec<Vec<Value>>> {
        let mut read = Vec::new();
        while read.len() < most
            && let Some(row) = rows.next()?
        {
            let count = row.as_ref().column_count();
            let cells: rusqlite::Result<_> = (0..count).map(|column| Ok(their_value(row.get_ref(column)?))).collect();
            read.push(cells?);
        }
        Ok(read)
    }
    let rows = bound(statement, given, |statement, values| match values {
        Bound::ByPosition(values) => read(statement.query(rusqlite::params_from_iter(values))?, most),
        Bound::ByName(values) => read(statement.query(values)?, most),
    })?;
    let names = statement.column_names().map(str::to_owned).collect();
    Ok(Outcome::Rows { names, rows })
}

fn their_value(value: rusqlite::types::ValueRef<'_>) -> Value {
    match value {
        rusqlite::types::ValueRef::Null => Value::Null,
        rusqlite::types::ValueRef::Integer(value) => Value::Integer(value),
        rusqlite::types::ValueRef::Real(value) => Value::Real(value),
        rusqlite::types::ValueRef::Text(text) => Value::Text(text.to_vec()),
        rusqlite::types::ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

fn their_cell(row: &rusqlite::Row<'_>, column: usize, read: Read) -> rusqlite::Result<Outcome> {
    fn shown<T: rusqlite::types::FromSql + std::fmt::Debug>(
        row: &rusqlite::Row<'_>,
        column: usize,
    ) -> rusqlite::Result<String> {
        row.get::<_, T>(column).map(|value| format!("{value:?}"))
    }
    let shown = match read {
        Read::I64 => shown::<i64>(row, column),
        Read::I32 => shown::<i32>(row, column),
        Read::U8 => shown::<u8>(row, column),
        Read::F64 => shown::<f64>(row, column),
        Read::Bool => shown::<bool>(row, column),
        Read::Text => shown::<String>(row, column),
        Read::Bytes => shown::<Vec<u8>>(row, column),
        Read::OptionalI64 => shown::<Option<i64>>(row, column),
        Read::OptionalText => shown::<Option<String>>(row, column),
    };
    Ok(Outcome::Cell(shown?))
}

fn their_failure(error: &rusqlite::Error) -> Failure {
    use rusqlite::Error;
    match error {
        Error::SqliteFailure(error, _) => Failure::Sqlite { code: error.extended_code, at: None },
        Error::SqlInputError { error, sql, offset, .. } => {
            let at = usize::try_from(*offset).ok().map(|offset| line_and_column(sql, offset));
            Failure::Sqlite { code: error.extended_code, at }
        }
        Error::QueryReturnedNoRows => Failure::NoRow,
        Error::QueryReturnedMoreThanOneRow => Failure::SeveralRows,
        Error::InvalidColumnType(column, ..)
        | Error::IntegralValueOutOfRange(column, _)
        | Error::Utf8Error(column, _)
        | Error::FromSqlConversionFailure(column, ..) => Failure::Conversion(*column),
        Error::InvalidColumnIndex(_) | Error::InvalidColumnName(_) => Failure::NoSuchColumn,
        Error::InvalidParameterName(_) => Failure::NoSuchParameter,
        Error::InvalidParameterCount(..) => Failure::ParameterCount,
        Error::MultipleStatement => Failure::SeveralStatements,
        Error::ExecuteReturnedResults => Failure::ReturnsRows,
        Error::NulError(_) => Failure::Nul,
        other => Failure::Other(other.to_string()),
    }
}

/// 1-based line and column, in characters, of an offset in bytes.
fn line_and_column(sql: &str, offset: usize) -> (usize, usize) {
    let before = String::from_utf8_lossy(&sql.as_bytes()[..offset.min(sql.len())]);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}
