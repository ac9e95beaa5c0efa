//! SQLite's mathematical functions, for a SQLite that was built without them.

use std::collections::HashSet;
use std::f64::consts::PI;
use std::panic::Location;

use super::context::{FunctionContext, FunctionResult};
use super::options::FunctionOptions;
use crate::Connection;
use crate::error::Result;
use crate::raw::math;
use crate::value::{Value, ValueRef};

/// The computation of a function.
#[derive(Clone, Copy)]
enum Math {
    /// Of one number.
    One(fn(f64) -> f64),
    /// Of two numbers.
    Two(fn(f64, f64) -> f64),
    /// Rounds a REAL to an integral one, and leaves an INTEGER as it is.
    Round(fn(f64) -> f64),
    /// A logarithm of a positive number.
    Log(fn(f64) -> f64),
    /// A logarithm to a base: `log(B, X)`.
    LogOfBase,
    Pi,
}

const FUNCTIONS: [(&str, Math); 30] = [
    ("acos", Math::One(math::acos)),
    ("acosh", Math::One(math::acosh)),
    ("asin", Math::One(math::asin)),
    ("asinh", Math::One(math::asinh)),
    ("atan", Math::One(math::atan)),
    ("atan2", Math::Two(math::atan2)),
    ("atanh", Math::One(math::atanh)),
    ("ceil", Math::Round(math::ceil)),
    ("ceiling", Math::Round(math::ceil)),
    ("cos", Math::One(math::cos)),
    ("cosh", Math::One(math::cosh)),
    ("degrees", Math::One(|x| x * (180.0 / PI))),
    ("exp", Math::One(math::exp)),
    ("floor", Math::Round(math::floor)),
    ("ln", Math::Log(math::log)),
    ("log", Math::Log(math::log10)),
    ("log", Math::LogOfBase),
    ("log10", Math::Log(math::log10)),
    ("log2", Math::Log(math::log2)),
    ("mod", Math::Two(math::fmod)),
    ("pi", Math::Pi),
    ("pow", Math::Two(math::pow)),
    ("power", Math::Two(math::pow)),
    ("radians", Math::One(|x| x * (PI / 180.0))),
    ("sin", Math::One(math::sin)),
    ("sinh", Math::One(math::sinh)),
    ("sqrt", Math::One(math::sqrt)),
    ("tan", Math::One(math::tan)),
    ("tanh", Math::One(math::tanh)),
    ("trunc", Math::Round(math::trunc)),
];

impl Connection {
    /// Adds the [mathematical functions of SQLite](https://sqlite.org/lang_mathfunc.html) that this SQLite was built
    /// without: `acos` to `trunc`, `log` with one and two arguments, `pi`. Returns the number of functions added.
    ///
    /// Their results are those of SQLite's own, bit for bit on the same C library: NULL for an argument that is NULL or
    /// no number, and outside of a function's domain.
    ///
    /// # Errors
    ///
    /// See [`create_scalar_function`](Self::create_scalar_function).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.create_math_functions()?;
    /// let found: (f64, f64, Option<f64>) = conn.query_one("SELECT sqrt(2), log(2, 8), acos(2)", ())?;
    /// assert_eq!(found, (2_f64.sqrt(), 3.0, None));
    /// assert_eq!(conn.create_math_functions()?, 0);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn create_math_functions(&self) -> Result<usize> {
        let site = Location::caller();
        let mut known = HashSet::new();
        self.each_function(|name, arguments| _ = known.insert((name.to_ascii_lowercase(), arguments)))?;
        let mut added = 0;
        for (name, math) in FUNCTIONS {
            let arguments = math.arguments();
            if known.contains(&(name.to_owned(), arguments.into())) {
                continue;
            }
            let options = FunctionOptions::new().arguments(arguments).deterministic().innocuous();
            self.add_scalar(name, options, site, move |call| math.run(call).answer(call))?;
            added += 1;
        }
        Ok(added)
    }
}

/// Result of a function: NULL, or a number.
type Number = Option<Value>;

impl Math {
    fn arguments(self) -> u8 {
        match self {
            Self::One(_) | Self::Round(_) | Self::Log(_) => 1,
            Self::Two(_) | Self::LogOfBase => 2,
            Self::Pi => 0,
        }
    }

    fn run(self, call: &FunctionContext<'_>) -> Value {
        self.compute(call).unwrap_or_default()
    }

    fn compute(self, call: &FunctionContext<'_>) -> Number {
        // SQLite checks the type, and rounds an INTEGER that is no REAL.
        let number = |argument| call.raw().number(argument).map(|_| call.raw().as_double(argument));
        let positive = |argument| number(argument).filter(|x| *x > 0.0);
        let result = match self {
            Self::One(function) => function(number(0)?),
            Self::Two(function) => {
                let (first, second) = (number(0)?, number(1)?);
                function(first, second)
            }
            Self::Round(function) => match call.raw().number(0)? {
                ValueRef::Integer(value) => return Some(value.into()),
                ValueRef::Real(value) => function(value),
                _ => return None,
            },
            Self::Log(function) => function(positive(0)?),
            Self::LogOfBase => {
                let base = Some(math::log(positive(0)?)).filter(|base| *base > 0.0)?;
                // SQLite checks the type of the base alone, and reads anything else as a number.
                let x = Some(call.raw().as_double(1)).filter(|x| *x > 0.0)?;
                math::log(x) / base
            }
            Self::Pi => PI,
        };
        // SQLite makes NaN NULL.
        (!result.is_nan()).then_some(result.into())
    }
}
