//! Properties of functions.

use std::ffi::CStr;

use super::context::FunctionContext;
use super::scalar::ScalarFunction;
use crate::raw::function::{Properties, Signature};

/// Number of arguments and properties of a function.
///
/// By default a function takes any number of arguments, is not deterministic, and may be used by views and triggers of
/// the database file if the connection trusts its schema.
///
/// C: [Function flags](https://sqlite.org/c3ref/c_deterministic.html)
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct FunctionOptions {
    pub(super) arguments: Option<u8>,
    properties: Properties,
}

impl FunctionOptions {
    pub(super) fn signature(self, name: &CStr) -> Signature<'_> {
        Signature { name, arguments: self.arguments, properties: self.properties }
    }

    /// Returns the default options.
    pub const fn new() -> Self {
        let properties = Properties {
            is_deterministic: false,
            is_direct_only: false,
            is_innocuous: false,
            reads_subtypes: false,
            sets_subtype: false,
        };
        Self { arguments: None, properties }
    }

    /// Sets the number of arguments, at most 127. Functions of one name with different numbers are different functions.
    pub const fn arguments(mut self, arguments: u8) -> Self {
        self.arguments = Some(arguments);
        self
    }

    /// Declares that equal arguments give equal results within a statement. SQLite may then call the function less often,
    /// and indexes, partial indexes and generated columns may use it; for these the results must stay the same for as
    /// long as the database lives.
    pub const fn deterministic(mut self) -> Self {
        self.properties.is_deterministic = true;
        self
    }

    /// Forbids the use in views, triggers, CHECK constraints, DEFAULT clauses, indexes and generated columns. For a
    /// function with side effects, or one that reveals anything.
    pub const fn direct_only(mut self) -> Self {
        self.properties.is_direct_only = true;
        self
    }

    /// Declares that the function does no harm with any arguments, so that a schema that is not trusted may use it.
    pub const fn innocuous(mut self) -> Self {
        self.properties.is_innocuous = true;
        self
    }

    /// Declares that the function reads subtypes ([`FunctionContext::subtype`]), or sets one
    /// ([`FunctionContext::set_subtype`]), which SQLite otherwise may ignore.
    pub const fn subtypes(mut self) -> Self {
        self.properties.reads_subtypes = true;
        self.properties.sets_subtype = true;
        self
    }
}

/// A function with further properties. Returned by [`deterministic`], [`direct_only`] and [`innocuous`].
#[derive(Clone, Copy, Debug)]
pub struct Flagged<F> {
    function: F,
    change: fn(FunctionOptions) -> FunctionOptions,
}

/// Declares a closure [deterministic](FunctionOptions::deterministic).
///
/// # Example
///
/// ```
/// use finalite::{Connection, extend::deterministic};
///
/// let conn = Connection::open_in_memory()?;
/// conn.create_scalar_function("folded", deterministic(|text: &str| text.to_lowercase()))?;
/// conn.execute_batch("CREATE TABLE t(name TEXT); CREATE UNIQUE INDEX by_name ON t(folded(name))")?;
/// conn.execute("INSERT INTO t VALUES ('ÅSA')", ())?;
/// assert!(conn.execute("INSERT INTO t VALUES ('åsa')", ()).is_err());
/// # Ok::<(), finalite::Error>(())
/// ```
#[must_use]
pub fn deterministic<F>(function: F) -> Flagged<F> {
    Flagged { function, change: FunctionOptions::deterministic }
}

/// Declares a closure [direct-only](FunctionOptions::direct_only).
#[must_use]
pub fn direct_only<F>(function: F) -> Flagged<F> {
    Flagged { function, change: FunctionOptions::direct_only }
}

/// Declares a closure [innocuous](FunctionOptions::innocuous).
#[must_use]
pub fn innocuous<F>(function: F) -> Flagged<F> {
    Flagged { function, change: FunctionOptions::innocuous }
}

impl<M, F: ScalarFunction<M>> ScalarFunction<Flagged<M>> for Flagged<F> {
    fn options(&self) -> FunctionOptions {
        (self.change)(self.function.options())
    }

    #[inline(always)]
    fn call(&self, context: &FunctionContext<'_>) {
        self.function.call(context);
    }
}
