//! Functions that have another implementation for columns of a virtual table.

use super::OverloadedFunction;
use crate::extend::context::{FunctionContext, FunctionName};
use crate::extend::{CallbackError, FunctionResult};

impl OverloadedFunction {
    /// Makes a closure the implementation of a function, of this name and number of arguments, for calls whose first
    /// argument is a column of the table. For other calls the function is what it was; if there was none, such a call is
    /// an error.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::extend::virtual_table::OverloadedFunction;
    ///
    /// let shout = OverloadedFunction::new("shout", 1, |call| Ok(call.get::<&str>(0)?.to_uppercase()));
    /// assert_eq!(format!("{shout:?}"), r#"OverloadedFunction { name: "shout", arguments: 1, .. }"#);
    /// ```
    #[must_use]
    pub fn new<F, R>(name: &str, arguments: u8, function: F) -> Self
    where
        F: Fn(&FunctionContext<'_>) -> Result<R, CallbackError> + Send + 'static,
        R: FunctionResult,
    {
        let shown = FunctionName(name.into());
        let call = Box::new(move |call: &crate::raw::function::Call<'_>| {
            let context = FunctionContext::new(call, &shown);
            function(&context).answer(&context);
            context.set_kept_subtype();
        });
        Self { name: name.into(), arguments, constraint: None, call }
    }

    /// Declares that the function, which has two arguments, is a condition: `WHERE function(column, value)` is a constraint
    /// with the operator [`Function`](super::ConstraintOperator::Function) of this number, of 0 to 105.
    #[must_use]
    pub fn with_constraint(mut self, number: u8) -> Self {
        const NUMBER_MAX: u8 = u8::MAX - 150;
        self.constraint = Some(number.min(NUMBER_MAX));
        self
    }
}
