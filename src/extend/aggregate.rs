//! Aggregate and window functions.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;

use super::argument::{Argument, with_arguments};
use super::context::{FunctionContext, FunctionName, FunctionResult};
use super::options::FunctionOptions;
use crate::raw::function::{Call, RawAggregate};

/// Any error, as a callback returns it.
pub type CallbackError = Box<dyn StdError + Send + Sync>;

/// An aggregate function of SQL.
///
/// # Example
///
/// ```
/// use finalite::Connection;
/// use finalite::extend::{AggregateFunction, CallbackError, FunctionContext, FunctionOptions};
///
/// /// The longest text of a group, NULL for none.
/// struct Longest;
///
/// impl AggregateFunction for Longest {
///     type State = Option<String>;
///     type Output = Option<String>;
///
///     fn options(&self) -> FunctionOptions {
///         FunctionOptions::new().arguments(1).deterministic()
///     }
///
///     fn start(&self) -> Self::State {
///         None
///     }
///
///     fn step(&self, longest: &mut Self::State, call: &FunctionContext<'_>) -> Result<(), CallbackError> {
///         let text: &str = call.get(0)?;
///         if longest.as_ref().is_none_or(|longest| text.len() > longest.len()) {
///             *longest = Some(text.to_owned());
///         }
///         Ok(())
///     }
///
///     fn finish(&self, longest: Self::State) -> Self::Output {
///         longest
///     }
/// }
///
/// let conn = Connection::open_in_memory()?;
/// conn.create_aggregate_function("longest", Longest)?;
/// let longest: String = conn.query_one("SELECT longest(column1) FROM (VALUES ('a'), ('abc'), ('ab'))", ())?;
/// assert_eq!(longest, "abc");
/// # Ok::<(), finalite::Error>(())
/// ```
pub trait AggregateFunction: Send + 'static {
    /// State of a group. It is dropped once, also if the statement ends before the group does.
    type State: Send + 'static;
    /// Result of a group.
    type Output: FunctionResult;

    /// Returns the number of arguments and the properties. The default takes any number of arguments.
    fn options(&self) -> FunctionOptions {
        FunctionOptions::new()
    }

    /// Returns the state of a new group. For a group without rows it is finished at once.
    fn start(&self) -> Self::State;

    /// Adds a row to the state.
    ///
    /// # Errors
    ///
    /// Any error; it ends the statement.
    fn step(&self, state: &mut Self::State, call: &FunctionContext<'_>) -> Result<(), CallbackError>;

    /// Returns the result of a group.
    fn finish(&self, state: Self::State) -> Self::Output;
}

/// A window function of SQL: an aggregate function from whose state rows can be removed again.
pub trait WindowFunction: AggregateFunction {
    /// Removes the oldest row from the state. SQLite may call it for a row that was not added.
    ///
    /// # Errors
    ///
    /// Any error; it ends the statement.
    fn inverse(&self, state: &mut Self::State, call: &FunctionContext<'_>) -> Result<(), CallbackError>;

    /// Returns the result for the rows that are in the state now.
    fn value(&self, state: &Self::State) -> Self::Output;
}

/// Result of a closure that adds a row to a state or removes one: `()`, or a `Result` of it.
pub trait StepResult {
    /// Converts the result.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), CallbackError>;
}

impl StepResult for () {
    #[inline(always)]
    fn into_result(self) -> Result<(), CallbackError> {
        Ok(())
    }
}

impl<E: Into<CallbackError>> StepResult for Result<(), E> {
    #[inline(always)]
    fn into_result(self) -> Result<(), CallbackError> {
        self.map_err(Into::into)
    }
}

/// A closure that adds a row to a state of type `S`, or removes one: it takes `&mut S` and up to 8 arguments.
///
/// `M` is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no step of an aggregate function",
    label = "expected a closure of the state and up to 8 arguments, each with its type: `|sum: &mut f64, x: f64| ..`",
    note = "it returns `()`, or a `Result` of it"
)]
pub trait StepFunction<S, M>: Send + 'static {
    /// Number of arguments.
    #[doc(hidden)]
    const ARGUMENTS: u8;

    /// Runs the closure for one row. `false`: the call is an error.
    #[doc(hidden)]
    fn run(&self, state: &mut S, context: &FunctionContext<'_>) -> bool;
}

macro_rules! closures {
    ($(($count:literal $($type:ident $marker:ident $value:ident $index:literal)*))*) => {
        $(
            impl<F, S, R, $($type, $marker),*> StepFunction<S, (fn($($type),*) -> R, $($marker,)*)> for F
            where
                F: Send + 'static,
                // As for scalar functions: the first bound finds the types, the second lets them live for one call.
                F: for<'state> Fn(&'state mut S, $($type),*) -> R,
                F: for<'state, 'call> Fn(&'state mut S, $($type::Of<'call>),*) -> R,
                $($type: Argument<$marker>,)*
                R: StepResult,
            {
                const ARGUMENTS: u8 = $count;

                #[inline(always)]
                fn run(&self, state: &mut S, context: &FunctionContext<'_>) -> bool {
                    /// Calls the closure by one of its bounds.
                    #[allow(clippy::too_many_arguments, reason = "as many as the closure")]
                    #[inline(always)]
                    fn apply<S, R, $($type),*>(
                        function: impl Fn(&mut S, $($type),*) -> R,
                        state: &mut S,
                        $($value: $type),*
                    ) -> R {
                        function(state, $($value),*)
                    }
                    $(
                        let $value: $type::Of<'_> = match context.read_as::<$marker, $type>($index) {
                            Ok(value) => value,
                            Err(unread) => {
                                context.fail(unread);
                                return false;
                            }
                        };
                    )*
                    match apply(self, state, $($value),*).into_result() {
                        Ok(()) => true,
                        Err(error) => {
                            context.fail_with(error);
                            false
                        }
                    }
                }
            }
        )*
    };
}

with_arguments!(closures);

/// An aggregate function of closures, from [`aggregate`].
pub struct Aggregate<S, Start, Step, Finish, M> {
    start: Start,
    step: Step,
    finish: Finish,
    is_deterministic: bool,
    types: PhantomData<fn(M) -> S>,
}

/// Returns an aggregate function of three closures: `start` returns the state of a group, `step` adds a row to it, and
/// `finish` returns the result.
///
/// # Example
///
/// ```
/// use finalite::{Connection, extend::aggregate};
///
/// let conn = Connection::open_in_memory()?;
/// let median = aggregate(
///     Vec::new,
///     |values: &mut Vec<f64>, value: f64| values.push(value),
///     |mut values: Vec<f64>| {
///         values.sort_by(f64::total_cmp);
///         values.get(values.len() / 2).copied()
///     },
/// );
/// conn.create_aggregate_function("upper_median", median)?;
/// let median: f64 = conn.query_one("SELECT upper_median(column1) FROM (VALUES (3), (1), (2))", ())?;
/// assert_eq!(median, 2.0);
/// # Ok::<(), finalite::Error>(())
/// ```
#[must_use]
pub fn aggregate<S, M, Start, Step, Finish, R>(
    start: Start,
    step: Step,
    finish: Finish,
) -> Aggregate<S, Start, Step, Finish, M>
where
    S: Send + 'static,
    Start: Fn() -> S + Send + 'static,
    Step: StepFunction<S, M>,
    Finish: Fn(S) -> R + Send + 'static,
    R: FunctionResult,
{
    Aggregate { start, step, finish, is_deterministic: false, types: PhantomData }
}

impl<S, Start, Step, Finish, M> Aggregate<S, Start, Step, Finish, M> {
    /// Declares the function [deterministic](FunctionOptions::deterministic).
    #[must_use]
    pub fn deterministic(mut self) -> Self {
        self.is_deterministic = true;
        self
    }
}

impl<S, Start, Step, Finish, M> fmt::Debug for Aggregate<S, Start, Step, Finish, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregate").finish_non_exhaustive()
    }
}

fn options(arguments: u8, is_deterministic: bool) -> FunctionOptions {
    let options = FunctionOptions::new().arguments(arguments);
    if is_deterministic { options.deterministic() } else { options }
}

impl<S, M, Start, Step, Finish, R> AggregateFunction for Aggregate<S, Start, Step, Finish, M>
where
    S: Send + 'static,
    M: 'static,
    Start: Fn() -> S + Send + 'static,
    Step: StepFunction<S, M>,
    Finish: Fn(S) -> R + Send + 'static,
    R: FunctionResult,
{
    type State = S;
    type Output = R;

    fn options(&self) -> FunctionOptions {
        options(Step::ARGUMENTS, self.is_deterministic)
    }

    fn start(&self) -> S {
        (self.start)()
    }

    fn step(&self, state: &mut S, call: &FunctionContext<'_>) -> Result<(), CallbackError> {
        if self.step.run(state, call) { Ok(()) } else { Err(Box::new(Answered)) }
    }

    fn finish(&self, state: S) -> R {
        (self.finish)(state)
    }
}

/// A window function of closures, from [`window`].
pub struct Window<S, Start, Step, Inverse, Value, M> {
    start: Start,
    step: Step,
    inverse: Inverse,
    value: Value,
    is_deterministic: bool,
    types: PhantomData<fn(M) -> S>,
}

/// Returns a window function of four closures: `start` returns a state, `step` adds a row to it, `inverse` removes the
/// oldest row, and `value` returns the result for the rows that are in the state. See
/// [`Connection::create_window_function`](crate::Connection::create_window_function) for an example.
#[must_use]
pub fn window<S, M, N, Start, Step, Inverse, Value, R>(
    start: Start,
    step: Step,
    inverse: Inverse,
    value: Value,
) -> Window<S, Start, Step, Inverse, Value, (M, N)>
where
    S: Send + 'static,
    Start: Fn() -> S + Send + 'static,
    Step: StepFunction<S, M>,
    Inverse: StepFunction<S, N>,
    Value: Fn(&S) -> R + Send + 'static,
    R: FunctionResult,
{
    const { assert!(Step::ARGUMENTS == Inverse::ARGUMENTS, "`step` and `inverse` take the same arguments") };
    Window { start, step, inverse, value, is_deterministic: false, types: PhantomData }
}

impl<S, Start, Step, Inverse, Value, M> Window<S, Start, Step, Inverse, Value, M> {
    /// Declares the function [deterministic](FunctionOptions::deterministic).
    #[must_use]
    pub fn deterministic(mut self) -> Self {
        self.is_deterministic = true;
        self
    }
}

impl<S, Start, Step, Inverse, Value, M> fmt::Debug for Window<S, Start, Step, Inverse, Value, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").finish_non_exhaustive()
    }
}

impl<S, M, N, Start, Step, Inverse, Value, R> AggregateFunction for Window<S, Start, Step, Inverse, Value, (M, N)>
where
    S: Send + 'static,
    M: 'static,
    N: 'static,
    Start: Fn() -> S + Send + 'static,
    Step: StepFunction<S, M>,
    Inverse: StepFunction<S, N>,
    Value: Fn(&S) -> R + Send + 'static,
    R: FunctionResult,
{
    type State = S;
    type Output = R;

    fn options(&self) -> FunctionOptions {
        options(Step::ARGUMENTS, self.is_deterministic)
    }

    fn start(&self) -> S {
        (self.start)()
    }

    fn step(&self, state: &mut S, call: &FunctionContext<'_>) -> Result<(), CallbackError> {
        if self.step.run(state, call) { Ok(()) } else { Err(Box::new(Answered)) }
    }

    fn finish(&self, state: S) -> R {
        (self.value)(&state)
    }
}

impl<S, M, N, Start, Step, Inverse, Value, R> WindowFunction for Window<S, Start, Step, Inverse, Value, (M, N)>
where
    S: Send + 'static,
    M: 'static,
    N: 'static,
    Start: Fn() -> S + Send + 'static,
    Step: StepFunction<S, M>,
    Inverse: StepFunction<S, N>,
    Value: Fn(&S) -> R + Send + 'static,
    R: FunctionResult,
{
    fn inverse(&self, state: &mut S, call: &FunctionContext<'_>) -> Result<(), CallbackError> {
        if self.inverse.run(state, call) { Ok(()) } else { Err(Box::new(Answered)) }
    }

    fn value(&self, state: &S) -> R {
        (self.value)(state)
    }
}

/// Error of a closure's step, which is the result of the call already.
#[derive(Debug, thiserror::Error)]
#[error("the step of an aggregate failed")]
struct Answered;

/// Ends a call that adds or removes a row. Returns whether it succeeded.
fn ended(result: Result<(), CallbackError>, context: &FunctionContext<'_>) -> bool {
    match result {
        Ok(()) => true,
        Err(error) => {
            if !error.is::<Answered>() {
                context.fail_with(error);
            }
            false
        }
    }
}

const OF_ITS_TYPE: &str = "a state is used by the function that made it";

fn state_of<S: 'static>(state: &mut (dyn Any + Send)) -> &mut S {
    state.downcast_mut().expect(OF_ITS_TYPE)
}

/// An aggregate function with its name, as the layer below calls it.
pub(super) struct Finished<A> {
    pub(super) function: A,
    pub(super) name: FunctionName,
}

impl<A: AggregateFunction> RawAggregate for Finished<A> {
    fn start(&self) -> Box<dyn Any + Send> {
        Box::new(self.function.start())
    }

    fn step(&self, state: &mut (dyn Any + Send), call: &Call<'_>) -> bool {
        let context = FunctionContext::new(call, &self.name);
        ended(self.function.step(state_of::<A::State>(state), &context), &context)
    }

    fn inverse(&self, _state: &mut (dyn Any + Send), _call: &Call<'_>) -> bool {
        unreachable!("it is registered without `inverse`")
    }

    fn value(&self, _state: &(dyn Any + Send), _call: &Call<'_>) {
        unreachable!("it is registered without `value`")
    }

    fn finish(&self, state: Box<dyn Any + Send>, call: &Call<'_>) {
        let state = *state.downcast::<A::State>().expect(OF_ITS_TYPE);
        self.function.finish(state).answer(&FunctionContext::new(call, &self.name));
    }
}

/// A window function, which is an aggregate function with two more calls.
pub(super) struct Sliding<W>(pub(super) Finished<W>);

impl<W: WindowFunction> RawAggregate for Sliding<W> {
    fn start(&self) -> Box<dyn Any + Send> {
        self.0.start()
    }

    fn step(&self, state: &mut (dyn Any + Send), call: &Call<'_>) -> bool {
        self.0.step(state, call)
    }

    fn inverse(&self, state: &mut (dyn Any + Send), call: &Call<'_>) -> bool {
        let Finished { function, name } = &self.0;
        let context = FunctionContext::new(call, name);
        ended(function.inverse(state_of::<W::State>(state), &context), &context)
    }

    fn value(&self, state: &(dyn Any + Send), call: &Call<'_>) {
        let Finished { function, name } = &self.0;
        let state = state.downcast_ref::<W::State>().expect(OF_ITS_TYPE);
        function.value(state).answer(&FunctionContext::new(call, name));
    }

    fn finish(&self, state: Box<dyn Any + Send>, call: &Call<'_>) {
        self.0.finish(state, call);
    }
}
