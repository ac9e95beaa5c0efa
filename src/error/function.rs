//! Errors of SQL functions that the program defines.

use std::error::Error as StdError;
use std::fmt;

use super::{ErrorKind, ResultCode};
use crate::value::{ConversionError, Type};

/// The error of a call of a function.
#[derive(Debug)]
pub(crate) struct FunctionFault {
    pub(crate) function: Box<str>,
    pub(crate) cause: FunctionCause,
}

#[derive(Debug)]
pub(crate) enum FunctionCause {
    /// An argument, 1-based, cannot be converted.
    Argument { argument: usize, found: Type, problem: ConversionError },
    /// The function takes more arguments than SQL passed; the number of the missing one, 1-based.
    Missing { argument: usize },
    /// The result cannot be converted.
    Result(ConversionError),
    /// The function returned an error.
    Returned(Box<dyn StdError + Send + Sync>),
    /// It is a virtual table: the method, and its error.
    Method(&'static str, Box<dyn StdError + Send + Sync>),
    /// A tokenizer, whose name is in place of the function's, returned an error.
    Tokenizer(Box<dyn StdError + Send + Sync>),
}

impl FunctionFault {
    pub(crate) fn into_kind(self, code: ResultCode) -> ErrorKind {
        let Self { function, cause } = self;
        match cause {
            FunctionCause::Argument { argument, found, problem } => {
                ErrorKind::FunctionArgument { code, function, argument, found, problem }
            }
            FunctionCause::Missing { argument } => {
                ErrorKind::Function { code, function, error: format!("argument {argument} is missing").into() }
            }
            FunctionCause::Result(problem) => ErrorKind::FunctionResult { code, function, problem },
            FunctionCause::Returned(error) => ErrorKind::Function { code, function, error },
            FunctionCause::Method(method, error) => ErrorKind::VirtualTable { code, table: function, method, error },
            FunctionCause::Tokenizer(error) => ErrorKind::Tokenizer { code, tokenizer: function, error },
        }
    }
}

/// The text that SQLite gets; the same as that of the error kind.
impl fmt::Display for FunctionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = &self.function;
        match &self.cause {
            FunctionCause::Argument { argument, found, problem } => {
                write!(f, "function {function}, argument {argument}, {found}: {problem}")
            }
            FunctionCause::Missing { argument } => write!(f, "function {function}: argument {argument} is missing"),
            FunctionCause::Result(problem) => write!(f, "function {function}, result: {problem}"),
            FunctionCause::Returned(error) => write!(f, "function {function}: {error}"),
            FunctionCause::Method(method, error) => write!(f, "table {function}, {method}: {error}"),
            FunctionCause::Tokenizer(error) => write!(f, "tokenizer {function}: {error}"),
        }
    }
}
