//! Closures as scalar functions.

use super::argument::{Argument, with_arguments};
use super::context::{FunctionContext, FunctionResult};
use super::options::FunctionOptions;

/// A function of one row: a closure of up to 8 arguments, or one with further properties
/// ([`deterministic`](super::deterministic)).
///
/// `M` is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no SQL function",
    label = "expected a closure of up to 8 arguments, each with its type: `|name: &str, n: i64| ..`",
    note = "an argument implements `FromSql` and owns its data, or is `&str`, `&[u8]`, `ValueRef`, `Cow`, or an `Option`",
    note = "a result implements `ToSql` and borrows nothing, or is a `Result` of it",
    note = "for a result that borrows an argument, use `create_scalar_function_with` and return `Ok(call.reply(result))`",
    note = "for any number of arguments, use `create_scalar_function_with`"
)]
pub trait ScalarFunction<M>: Send + 'static {
    /// Returns the number of arguments and the properties.
    #[doc(hidden)]
    fn options(&self) -> FunctionOptions;

    /// Runs the function for one row.
    #[doc(hidden)]
    fn call(&self, context: &FunctionContext<'_>);
}

macro_rules! closures {
    ($(($count:literal $($type:ident $marker:ident $value:ident $index:literal)*))*) => {
        $(
            impl<F, R, $($type, $marker),*> ScalarFunction<(fn($($type),*) -> R, $($marker,)*)> for F
            where
                F: Send + 'static,
                // The first bound finds the types of the arguments, the second lets them live for one call.
                F: Fn($($type),*) -> R,
                F: for<'call> Fn($($type::Of<'call>),*) -> R,
                $($type: Argument<$marker>,)*
                R: FunctionResult,
            {
                fn options(&self) -> FunctionOptions {
                    FunctionOptions::new().arguments($count)
                }

                #[inline(always)]
                fn call(&self, context: &FunctionContext<'_>) {
                    /// Calls the closure by one of its bounds.
                    #[allow(clippy::too_many_arguments, reason = "as many as the closure")]
                    #[inline(always)]
                    fn apply<R, $($type),*>(function: impl Fn($($type),*) -> R, $($value: $type),*) -> R {
                        function($($value),*)
                    }
                    $(
                        let $value: $type::Of<'_> = match context.read_as::<$marker, $type>($index) {
                            Ok(value) => value,
                            Err(unread) => return context.fail(unread),
                        };
                    )*
                    apply(self, $($value),*).answer(context);
                }
            }
        )*
    };
}

with_arguments!(closures);
