//! Values that methods of virtual tables get and set, as Rust types, and the connection that they read through.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::mem;

use super::{CallbackError, CellCall, FilterCall, IntegrityCheck, NewRow, OldRow, TableCall, TableDefinition};
use crate::convert::{FromSql, Param, ParamValue, ToSql};
use crate::error::{Error, ErrorKind, FunctionCause, FunctionFault, Result, ResultCode};
use crate::extend::FunctionArgument;
use crate::extend::reading::ReadConnection;
use crate::raw::module::InValues;
use crate::value::{ConversionError, RawParam, Type, ValueRef};

/// Makes an error of a value that a method has got.
#[cold]
fn fault(table: &str, cause: FunctionCause) -> Error {
    Error::new(FunctionFault { function: table.into(), cause }.into_kind(ResultCode::ERROR))
}

impl<'call> TableDefinition<'call> {
    /// Returns the connection, to read the database.
    #[must_use]
    pub fn connection(&self) -> ReadConnection<'call> {
        ReadConnection::new(self.db())
    }
}

impl<'call> TableCall<'call> {
    /// Returns the connection, to read the database.
    #[must_use]
    pub fn connection(&self) -> ReadConnection<'call> {
        ReadConnection::new(self.db())
    }
}

impl<'call> IntegrityCheck<'call> {
    /// Returns the connection, to read the database.
    #[must_use]
    pub fn connection(&self) -> ReadConnection<'call> {
        ReadConnection::new(self.db())
    }
}

impl<'call> OldRow<'call> {
    /// Returns the primary key of a table that is declared `WITHOUT ROWID`, the rowid of another.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::FunctionArgument`] if it does not convert, [`ErrorKind::NoMemory`].
    pub fn key<T: FromSql<'call>>(&self) -> Result<T> {
        let value = self.value()?;
        T::from_sql(value).map_err(|problem| {
            fault(self.table(), FunctionCause::Argument { argument: 1, found: value.data_type(), problem })
        })
    }

    /// Returns the connection, to read the database.
    #[must_use]
    pub fn connection(&self) -> ReadConnection<'call> {
        ReadConnection::new(self.db())
    }
}

impl<'call> FilterCall<'call> {
    /// Returns the connection, to read the database.
    #[must_use]
    pub fn connection(&self) -> ReadConnection<'call> {
        ReadConnection::new(self.db())
    }

    /// Returns an argument, 0-based, as a Rust type: the right-hand side of the constraint that
    /// [`IndexQuery::pass`](super::IndexQuery::pass) has given this number.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::FunctionArgument`] if it does not convert, [`ErrorKind::Function`] if there is none,
    /// [`ErrorKind::NoMemory`].
    pub fn get<T: FromSql<'call>>(&self, argument: usize) -> Result<T> {
        let value = match self.argument(argument) {
            Some(Ok(value)) => value,
            Some(Err(())) => return Err(Error::new(ErrorKind::NoMemory { code: ResultCode::NOMEM })),
            None => return Err(fault(self.table(), FunctionCause::Missing { argument: argument + 1 })),
        };
        self.converted(value, argument)
    }

    /// Returns the argument that is passed at this position as that of this number, 0-based. One that is not passed is
    /// NULL, if the type allows that.
    pub(in crate::extend) fn get_as<T: FromSql<'call>>(&self, position: Option<usize>, argument: usize) -> Result<T> {
        match position.and_then(|position| self.argument(position)) {
            Some(Ok(value)) => self.converted(value, argument),
            Some(Err(())) => Err(Error::new(ErrorKind::NoMemory { code: ResultCode::NOMEM })),
            None => T::from_sql(ValueRef::Null)
                .map_err(|_| fault(self.table(), FunctionCause::Missing { argument: argument + 1 })),
        }
    }

    fn converted<T: FromSql<'call>>(&self, value: ValueRef<'call>, argument: usize) -> Result<T> {
        T::from_sql(value).map_err(|problem| {
            let found = value.data_type();
            fault(self.table(), FunctionCause::Argument { argument: argument + 1, found, problem })
        })
    }

    /// Returns an argument, 0-based, as SQLite has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Function`] if there is none, [`ErrorKind::NoMemory`].
    pub fn value(&self, argument: usize) -> Result<ValueRef<'call>> {
        self.get(argument)
    }

    /// Returns the values of an `IN` list that [`IndexQuery::pass_in_list`](super::IndexQuery::pass_in_list) has passed at
    /// once, each once, in ascending order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Function`] if there is no such argument. The iterator returns an error for a value that does not
    /// convert, or if the argument is no such list.
    pub fn in_list<T: FunctionArgument>(&self, argument: usize) -> Result<InList<'_, T>> {
        match self.in_values(argument) {
            Some(values) => Ok(InList { values, table: self.table(), argument: argument + 1, read: PhantomData }),
            None => Err(fault(self.table(), FunctionCause::Missing { argument: argument + 1 })),
        }
    }
}

/// Values of an `IN` list, in ascending order. Returned by [`FilterCall::in_list`].
pub struct InList<'call, T> {
    values: InValues<'call>,
    table: &'call str,
    argument: usize,
    read: PhantomData<fn() -> T>,
}

impl<T: FunctionArgument> Iterator for InList<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let read = |value: ValueRef<'_>| T::from_sql(value).map_err(|problem| (value.data_type(), problem));
        let argument = self.argument;
        Some(match self.values.next(read)? {
            Ok(Ok(value)) => Ok(value),
            Ok(Err((found, problem))) => Err(fault(self.table, FunctionCause::Argument { argument, found, problem })),
            Err(code) if code == ResultCode::NOMEM.number() => {
                Err(Error::new(ErrorKind::NoMemory { code: ResultCode::NOMEM }))
            }
            Err(_) => {
                let problem = ConversionError::message("InList", "not a list that is passed at once");
                Err(fault(self.table, FunctionCause::Argument { argument, found: Type::Null, problem }))
            }
        })
    }
}

impl<T> fmt::Debug for InList<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InList").field("argument", &self.argument).finish_non_exhaustive()
    }
}

impl<'call> CellCall<'call> {
    /// Returns the connection, to read the database.
    #[must_use]
    pub fn connection(&self) -> ReadConnection<'call> {
        ReadConnection::new(self.db())
    }

    /// Sets the value. Text and bytes are copied.
    ///
    /// # Errors
    ///
    /// The error of a value that SQLite cannot represent.
    #[inline(always)]
    pub fn set(&self, value: impl ToSql) -> std::result::Result<(), CallbackError> {
        self.set_param(value.to_sql())
    }

    #[inline(always)]
    pub(super) fn set_param(&self, value: Param<'_>) -> std::result::Result<(), CallbackError> {
        let value = value.into_value();
        let plain = match value {
            ParamValue::Null => Some(RawParam::Null),
            ParamValue::Integer(value) => Some(RawParam::Integer(value)),
            ParamValue::Real(value) => Some(RawParam::Real(value)),
            ParamValue::ZeroBlob(bytes) => Some(RawParam::ZeroBlob(bytes)),
            _ => None,
        };
        if let Some(plain) = plain {
            // There is nothing to drop, which the compiler does not see.
            mem::forget(value);
            self.answer(plain);
            return Ok(());
        }
        match value {
            ParamValue::Null | ParamValue::Integer(_) | ParamValue::Real(_) | ParamValue::ZeroBlob(_) => {}
            ParamValue::Text(Cow::Borrowed(text)) => self.answer(RawParam::Text(text)),
            ParamValue::Text(Cow::Owned(text)) => self.answer(RawParam::Text(&text)),
            ParamValue::Blob(Cow::Borrowed(bytes)) => self.answer(RawParam::Blob(bytes)),
            ParamValue::Blob(Cow::Owned(bytes)) => self.answer(RawParam::Blob(&bytes)),
            ParamValue::List(_) | ParamValue::OwnedList(_) => return refuse_list(),
            ParamValue::Error(problem) => return refuse(problem),
        }
        Ok(())
    }
}

#[cold]
#[inline(never)]
fn refuse(problem: ConversionError) -> std::result::Result<(), CallbackError> {
    Err(Box::new(problem))
}

#[cold]
#[inline(never)]
fn refuse_list() -> std::result::Result<(), CallbackError> {
    refuse(ConversionError::message("Array", "a list can be bound to a parameter, and not returned"))
}

impl<'call> NewRow<'call> {
    /// Returns the connection, to read the database.
    #[must_use]
    pub fn connection(&self) -> ReadConnection<'call> {
        ReadConnection::new(self.db())
    }

    /// Returns the value of a column, 0-based, as a Rust type. Hidden columns count.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::FunctionArgument`], with the number of the column from 1, if it does not convert;
    /// [`ErrorKind::Function`] if there is none; [`ErrorKind::NoMemory`].
    pub fn get<T: FromSql<'call>>(&self, column: usize) -> Result<T> {
        let Some(value) = self.column(column)? else {
            return Err(fault(self.table(), FunctionCause::Missing { argument: column + 1 }));
        };
        T::from_sql(value).map_err(|problem| {
            fault(self.table(), FunctionCause::Argument { argument: column + 1, found: value.data_type(), problem })
        })
    }

    /// Returns the value of a column, 0-based, as SQLite has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Function`] if there is none, [`ErrorKind::NoMemory`].
    pub fn value(&self, column: usize) -> Result<ValueRef<'call>> {
        self.get(column)
    }
}
