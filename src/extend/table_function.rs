//! Closures as table functions: `SELECT .. FROM name(arguments)`.

use std::marker::PhantomData;

use super::CallbackError;
use super::argument::{Argument, with_arguments};
use super::reading::ReadConnection;
use super::virtual_table::{
    CellCall, Constraint, ConstraintOperator, Declared, FilterCall, IndexQuery, TableCall, TableCursor,
    TableDefinition, TableKind, TableOptions, VirtualTable,
};
use crate::Connection;
use crate::convert::FromSql;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{quote_identifier, quote_literal};
use crate::value::Value;

mod rows;

pub use rows::{Fallible, Iterated, TableItem, TableRow, TableRows};

/// Columns of a table function, names of its arguments, and its properties.
///
/// # Example
///
/// ```
/// use finalite::extend::TableColumns;
///
/// let columns = TableColumns::from([("line", "INTEGER"), ("text", "TEXT")]).arguments(["path", "encoding"]);
/// assert_eq!(columns.to_string(), r#""line" INTEGER, "text" TEXT, "path" HIDDEN, "encoding" HIDDEN"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct TableColumns {
    columns: Vec<(String, String)>,
    arguments: Option<Vec<String>>,
    is_direct_only: bool,
}

impl TableColumns {
    /// Names the arguments: SQL can give them by name, too, `WHERE path = ?`, and read them as columns that are not in
    /// `SELECT *`. By default they are called `argument1` and so on.
    pub fn arguments<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.arguments = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Forbids the use in views and triggers. For a function with side effects, or one that reveals anything.
    pub fn direct_only(mut self) -> Self {
        self.is_direct_only = true;
        self
    }

    /// Names the arguments of a closure, unless they have names.
    fn with_arguments(mut self, count: usize) -> Self {
        self.arguments.get_or_insert_with(|| (1..=count).map(|number| format!("argument{number}")).collect());
        self
    }

    fn argument_count(&self) -> usize {
        self.arguments.as_ref().map_or(0, Vec::len)
    }

    fn check(&self, columns: usize, arguments: Option<usize>) -> Result<()> {
        let misuse = |reason| Err(Error::new(ErrorKind::Misuse { reason }));
        let is_hidden = |declared: &str| {
            let mut words = declared.split(|c: char| !c.is_ascii_alphanumeric());
            words.any(|word| word.eq_ignore_ascii_case("hidden"))
        };
        let is_type = |declared: &str| declared.chars().all(|c| c.is_alphanumeric() || " ()_".contains(c));
        if self.columns.len() != columns {
            return misuse("the rows of the table function have another number of columns than it declares");
        }
        if arguments.is_some_and(|arguments| arguments != self.argument_count()) {
            return misuse("the table function has another number of arguments than it names");
        }
        let names = self.columns.iter().map(|(name, _)| name).chain(self.arguments.iter().flatten());
        if names.into_iter().any(|name| name.eq_ignore_ascii_case(ROW_KEY)) {
            return misuse("`finalite_row_key` is a column that each table function has");
        }
        if self.argument_count() > ARGUMENTS_MAX {
            return misuse("a table function has at most 30 arguments");
        }
        if self.columns.iter().any(|(_, declared)| is_hidden(declared) || !is_type(declared)) {
            return misuse("a declared type of the table function is no type");
        }
        Ok(())
    }
}

/// Those that are given are a bit each in the number of the plan.
const ARGUMENTS_MAX: usize = 30;

/// Name of the column with the key of a row, behind the arguments: they, and the number of the row in its call.
const ROW_KEY: &str = "finalite_row_key";

impl std::fmt::Display for TableColumns {
    /// Writes the columns as in `CREATE TABLE`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arguments = self.arguments.iter().flatten().map(|name| (name.as_str(), "HIDDEN"));
        let columns = self.columns.iter().map(|(name, declared)| (name.as_str(), declared.as_str()));
        for (index, (name, declared)) in columns.chain(arguments).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            let space = if declared.is_empty() { "" } else { " " };
            write!(f, "{separator}{}{space}{declared}", quote_identifier(name))?;
        }
        Ok(())
    }
}

impl<const N: usize> From<[&str; N]> for TableColumns {
    /// Columns without a type.
    fn from(names: [&str; N]) -> Self {
        Self { columns: names.map(|name| (name.to_owned(), String::new())).into(), ..Self::default() }
    }
}

impl<const N: usize> From<[(&str, &str); N]> for TableColumns {
    /// Columns and their declared types.
    fn from(columns: [(&str, &str); N]) -> Self {
        Self {
            columns: columns.map(|(name, declared)| (name.to_owned(), declared.to_owned())).into(),
            ..Self::default()
        }
    }
}

impl From<Vec<(String, String)>> for TableColumns {
    /// Columns and their declared types.
    fn from(columns: Vec<(String, String)>) -> Self {
        Self { columns, ..Self::default() }
    }
}

/// One call of a table function: its arguments.
#[derive(Debug)]
pub struct TableFunctionCall<'call, 'filter> {
    call: &'filter FilterCall<'call>,
}

impl<'call> TableFunctionCall<'call, '_> {
    /// Whether SQL has given an argument, 0-based.
    #[must_use]
    pub fn is_given(&self, argument: usize) -> bool {
        self.position(argument).is_some()
    }

    /// Returns an argument, 0-based, as a Rust type. One that is not given is read as NULL, if the type allows that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::FunctionArgument`] if it does not convert, [`ErrorKind::Function`] if it is missing,
    /// [`ErrorKind::NoMemory`].
    pub fn get<T: FromSql<'call>>(&self, argument: usize) -> Result<T> {
        self.call.get_as(self.position(argument), argument)
    }

    /// Returns the connection, to read the database.
    #[must_use]
    pub fn connection(&self) -> ReadConnection<'call> {
        self.call.connection()
    }

    /// Position of an argument among those that are given: each that is given is a bit of the plan.
    fn position(&self, argument: usize) -> Option<usize> {
        let (given, bit) = (self.call.plan().cast_unsigned(), 1_u32.checked_shl(u32::try_from(argument).ok()?)?);
        (given & bit != 0).then(|| (given & (bit - 1)).count_ones() as usize)
    }
}

/// A table function: a closure of up to 8 arguments, which returns rows. `M` is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no table function",
    label = "expected a closure of up to 8 arguments, each with its type, that returns rows: `|text: &str| ..`",
    note = "an argument implements `FromSql` and owns its data, or is `&str`, `&[u8]`, `ValueRef`, `Cow`, or an `Option`",
    note = "the result is an iterable of rows that borrows nothing, or a `Result` of one; a row is a value or a tuple",
    note = "for any number of arguments, use `create_table_function_with`"
)]
pub trait TableFunction<M>: Send + 'static {
    /// The iterator over the rows.
    type Iter: Iterator<Item: TableItem> + 'static;

    /// Number of arguments; `None` for any.
    #[doc(hidden)]
    const ARGUMENTS: Option<usize>;

    /// Starts the function.
    #[doc(hidden)]
    fn start(&self, call: &TableFunctionCall<'_, '_>) -> std::result::Result<Self::Iter, CallbackError>;
}

macro_rules! closures {
    ($(($count:literal $($type:ident $marker:ident $value:ident $index:literal)*))*) => {
        $(
            impl<F, R, N, $($type, $marker),*> TableFunction<(fn($($type),*) -> R, N, $($marker,)*)> for F
            where
                F: Send + 'static,
                // The first bound finds the types of the arguments, the second lets them live for one call.
                F: Fn($($type),*) -> R,
                F: for<'call> Fn($($type::Of<'call>),*) -> R,
                $($type: Argument<$marker>,)*
                R: TableRows<N>,
            {
                type Iter = R::Iter;

                const ARGUMENTS: Option<usize> = Some($count);

                #[allow(unused_variables, reason = "a closure without arguments")]
                fn start(&self, call: &TableFunctionCall<'_, '_>) -> std::result::Result<R::Iter, CallbackError> {
                    /// Calls the closure by one of its bounds.
                    #[allow(clippy::too_many_arguments, reason = "as many as the closure")]
                    fn apply<R, $($type),*>(function: impl Fn($($type),*) -> R, $($value: $type),*) -> R {
                        function($($value),*)
                    }
                    $(let $value: $type::Of<'_> = call.get($index)?;)*
                    apply(self, $($value),*).into_rows()
                }
            }
        )*
    };
}

with_arguments!(closures);

/// A closure that reads its arguments from a [`TableFunctionCall`].
struct WithCall<F>(F);

impl<F, R, N> TableFunction<(R, N)> for WithCall<F>
where
    F: Fn(&TableFunctionCall<'_, '_>) -> std::result::Result<R, CallbackError> + Send + 'static,
    R: TableRows<N>,
{
    type Iter = R::Iter;

    const ARGUMENTS: Option<usize> = None;

    fn start(&self, call: &TableFunctionCall<'_, '_>) -> std::result::Result<R::Iter, CallbackError> {
        (self.0)(call)?.into_rows()
    }
}

/// The module of a table function.
struct Definition<F> {
    columns: TableColumns,
    function: F,
}

/// The table of a table function.
struct FunctionTable<F, M, const IS_DIRECT_ONLY: bool> {
    columns: usize,
    arguments: usize,
    of: PhantomData<fn() -> (F, M)>,
}

/// The row of a function.
type Row<F, M> = <<<F as TableFunction<M>>::Iter as Iterator>::Item as TableItem>::Row;

struct FunctionCursor<'t, F: TableFunction<M>, M> {
    definition: &'t Definition<F>,
    /// Arguments of the call, which SQL reads as columns.
    arguments: Vec<Value>,
    rows: Option<F::Iter>,
    row: Option<Row<F, M>>,
    number: i64,
}

impl<F: TableFunction<M>, M: 'static, const IS_DIRECT_ONLY: bool> VirtualTable for FunctionTable<F, M, IS_DIRECT_ONLY> {
    type Shared = Definition<F>;
    type Cursor<'t> = FunctionCursor<'t, F, M>;

    const KIND: TableKind = TableKind::EponymousOnly;
    const OPTIONS: TableOptions = if IS_DIRECT_ONLY { TableOptions::new().direct_only() } else { TableOptions::new() };

    fn connect(
        definition: &Definition<F>,
        _: &TableDefinition<'_>,
    ) -> std::result::Result<Declared<Self>, CallbackError> {
        let columns = &definition.columns;
        let table = Self { columns: columns.columns.len(), arguments: columns.argument_count(), of: PhantomData };
        // Where SQLite reads a table once for each of several conditions, it leaves out rows that it has seen by their keys.
        // The number of a row alone is not one: another call has a row of the same number. The arguments themselves cannot
        // be part of a key, whose columns SQLite takes for never NULL.
        let key = quote_identifier(ROW_KEY);
        let schema = format!("CREATE TABLE x({columns}, {key} HIDDEN PRIMARY KEY) WITHOUT ROWID");
        Ok(Declared::new(schema, table))
    }

    fn best_index(&self, query: &mut IndexQuery<'_>) -> std::result::Result<(), CallbackError> {
        /// Cost of a call with all arguments.
        const COST: f64 = 100.0;
        // What is given beyond the arguments would be the key.
        let key = self.columns + self.arguments;
        let is_given = |it: &Constraint| it.column() == Some(key) && it.operator() == ConstraintOperator::Equal;
        if query.constraints().any(|it| is_given(&it)) {
            return Err(format!("it has {} arguments, and more are given", self.arguments).into());
        }
        let (mut given, mut tested, mut missing) = (0, 0_u32, 0);
        for argument in 0..self.arguments {
            let column = self.columns + argument;
            let is_of_argument =
                |it: &Constraint| it.column() == Some(column) && it.operator() == ConstraintOperator::Equal;
            let all: Vec<Constraint> = query.constraints().filter(is_of_argument).collect();
            match all.iter().find(|it| it.is_usable()) {
                Some(constraint) => {
                    query.omit(*constraint)?;
                    given |= 1 << argument;
                    tested |= u32::from(!query.is_omitted(*constraint)) << argument;
                }
                // It comes from a table that would be read later.
                None if !all.is_empty() => {
                    query.refuse();
                    return Ok(());
                }
                None => missing += 1,
            }
        }
        query.set_plan(given);
        if tested != 0 {
            query.set_plan_text(tested.to_string())?;
        }
        // Ways that give more arguments are taken before: those of an OR for each row of a table of a million, which is what
        // SQLite expects of one that it knows nothing of.
        query.set_cost(COST * 1e7_f64.powi(missing));
        Ok(())
    }

    fn open<'t>(&'t self, definition: &'t Definition<F>) -> std::result::Result<Self::Cursor<'t>, CallbackError> {
        Ok(FunctionCursor { definition, arguments: Vec::new(), rows: None, row: None, number: 0 })
    }
}

impl<F: TableFunction<M>, M: 'static> FunctionCursor<'_, F, M> {
    /// Returns the key of the row: the arguments and its number, as literals of SQL.
    #[cold]
    fn key(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| quote_literal(argument.as_value_ref()));
        arguments.chain([self.number.to_string()]).collect::<Vec<_>>().join(",")
    }

    /// Goes to the next row of the iterator.
    #[inline(always)]
    fn advance(&mut self) -> std::result::Result<bool, CallbackError> {
        self.row = match self.rows.as_mut().and_then(Iterator::next) {
            Some(item) => Some(item.into_row()?),
            None => None,
        };
        self.number += 1;
        Ok(self.row.is_some())
    }
}

impl<F: TableFunction<M>, M: 'static> TableCursor for FunctionCursor<'_, F, M> {
    fn filter(&mut self, call: &FilterCall<'_>) -> std::result::Result<bool, CallbackError> {
        // The rows of the call before end first.
        (self.rows, self.row, self.number) = (None, None, 0);
        let call = TableFunctionCall { call };
        let arguments = (0..self.definition.columns.argument_count()).map(|argument| call.get(argument));
        self.arguments = arguments.collect::<Result<_>>()?;
        // Those that SQLite compares with their columns, a bit each.
        let tested: u32 = call.call.plan_text().and_then(|tested| tested.parse().ok()).unwrap_or(0);
        let is_tested = |argument: usize| tested >> argument & 1 != 0;
        if self.arguments.iter().enumerate().any(|(index, value)| is_tested(index) && matches!(value, Value::Null)) {
            return Err("an argument behind 16 others, or behind 16 conditions on the table, is NULL, which SQLite \
                        compares with itself: write `+column` for a column in some of the conditions"
                .into());
        }
        self.rows = Some(self.definition.function.start(&call)?);
        self.advance()
    }

    #[inline(always)]
    fn next(&mut self, _: &TableCall<'_>) -> std::result::Result<bool, CallbackError> {
        self.advance()
    }

    #[inline(always)]
    fn column(&self, column: usize, cell: &CellCall<'_>) -> std::result::Result<(), CallbackError> {
        match (&self.row, column.checked_sub(Row::<F, M>::COLUMNS)) {
            (Some(row), None) => row.answer(column, cell),
            (_, Some(argument)) => match self.arguments.get(argument) {
                Some(argument) => cell.set(argument),
                None => cell.set(self.key()),
            },
            (None, None) => Ok(()),
        }
    }

    /// A table that is declared WITHOUT ROWID is not asked.
    fn rowid(&self) -> std::result::Result<i64, CallbackError> {
        Ok(self.number)
    }
}

impl Connection {
    /// Makes a closure a table function: `SELECT .. FROM name(arguments)` calls it, and reads the rows that it returns, one
    /// by one. The number and the types of its arguments are those of the closure, up to 8.
    ///
    /// `columns` names the columns, with or without declared types, and perhaps the arguments ([`TableColumns`]). A row
    /// is a value or a tuple ([`TableRow`]). The closure returns an iterable of rows or of `Result`s of rows, or a `Result`
    /// of one of these. The iterator owns its data. It is dropped when the statement ends, or the function is called
    /// again: in a join, once for each row of the table that the arguments come from.
    ///
    /// An argument that SQL does not give is NULL for an `Option`, and otherwise an error. Arguments are columns that are
    /// not in `SELECT *`, and so a comparison with one in `WHERE` gives it: with `WHERE argument1 = NULL`, which no row of
    /// an ordinary table fulfils, the function is called with NULL. SQLite compares the argument itself where it is the
    /// 17th, or has so many other conditions on the table before it; NULL is an error there.
    ///
    /// Argument types are those of scalar functions ([`extend`](crate::extend)), so are errors and panics. The table has no
    /// rowid.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for rows of another number of columns, for other names of arguments than the closure has
    /// arguments, and as [`create_module`](Self::create_module), by which it is registered and replaced, and
    /// [removed](Self::remove_module).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.create_table_function("split", ["part"], |text: &str, separator: &str| {
    ///     text.split(separator).map(str::to_owned).collect::<Vec<_>>()
    /// })?;
    /// assert_eq!(conn.query_all::<String>("SELECT part FROM split('a,b', ',')", ())?, ["a", "b"]);
    ///
    /// conn.create_table_function("countdown", [("n", "INTEGER"), ("is_last", "INTEGER")], |from: u32| {
    ///     (0..=from).rev().map(|n| (n, n == 0))
    /// })?;
    /// let sql = "SELECT t.name, n FROM (SELECT 'a' AS name, 1 AS size UNION SELECT 'b', 2) t, countdown(t.size)";
    /// assert_eq!(conn.query_all::<(String, u32)>(sql, ())?.len(), 5);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [Table-valued functions](https://sqlite.org/vtab.html#tabfunc2)
    #[track_caller]
    #[doc(alias("table-valued function", "create_virtual_module"))]
    pub fn create_table_function<M: 'static, F: TableFunction<M>>(
        &self,
        name: &str,
        columns: impl Into<TableColumns>,
        function: F,
    ) -> Result<()> {
        let columns = columns.into().with_arguments(F::ARGUMENTS.unwrap_or(0));
        columns.check(Row::<F, M>::COLUMNS, F::ARGUMENTS)?;
        match columns.is_direct_only {
            true => self.create_module::<FunctionTable<F, M, true>>(name, Definition { columns, function }),
            false => self.create_module::<FunctionTable<F, M, false>>(name, Definition { columns, function }),
        }
    }

    /// Makes a closure a table function. The closure reads its arguments, whose names `columns` has, from a
    /// [`TableFunctionCall`], which also has a connection to read through.
    ///
    /// # Errors
    ///
    /// See [`create_table_function`](Self::create_table_function).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, extend::TableColumns};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE parent(child, id); INSERT INTO parent VALUES (3, 2), (2, 1)")?;
    /// let columns = TableColumns::from(["id"]).arguments(["of"]);
    /// conn.create_table_function_with("ancestors", columns, |call| {
    ///     let (mut found, mut next) = (Vec::new(), call.get::<Option<i64>>(0)?);
    ///     while let Some(child) = next {
    ///         next = call.connection().query_optional("SELECT id FROM parent WHERE child = ?", (child,))?;
    ///         found.extend(next);
    ///     }
    ///     Ok(found)
    /// })?;
    /// assert_eq!(conn.query_all::<i64>("SELECT id FROM ancestors(3)", ())?, [2, 1]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [Table-valued functions](https://sqlite.org/vtab.html#tabfunc2)
    #[track_caller]
    pub fn create_table_function_with<F, R, N>(
        &self,
        name: &str,
        columns: impl Into<TableColumns>,
        function: F,
    ) -> Result<()>
    where
        F: Fn(&TableFunctionCall<'_, '_>) -> std::result::Result<R, CallbackError> + Send + 'static,
        R: TableRows<N> + 'static,
        N: 'static,
    {
        self.create_table_function::<(R, N), _>(name, columns, WithCall(function))
    }
}
