//! SQL functions of both drivers: the same closures, called with the same arguments, give the same cells.
//!
//! Differences that are meant: finalite reads the bytes of a text as `&[u8]`; a NaN as a result is an error, where
//! rusqlite's becomes NULL; and so is an INTEGER that `f64` cannot hold exactly, which rusqlite rounds.
//!
//! `CALLS` sets how many calls are generated (2,000 unless set).

use std::fmt::Write as _;

use finalite::extend::{AggregateFunction, CallbackError, FunctionContext, FunctionOptions, WindowFunction};
use rusqlite::functions::{Aggregate, Context, FunctionFlags, WindowAggregate};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A value, as both drivers bind it, pass it to functions and return it.
#[derive(Clone, Debug)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            // Bit for bit: -0.0 is not 0.0.
            (Self::Real(a), Self::Real(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) | (Self::Blob(a), Self::Blob(b)) => a == b,
            _ => false,
        }
    }
}

impl Cell {
    fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    fn number(&self) -> f64 {
        match self {
            Self::Integer(n) => *n as f64,
            Self::Real(n) => *n,
            Self::Null => 0.0,
            Self::Text(bytes) | Self::Blob(bytes) => bytes.len() as f64,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Null => Vec::new(),
            Self::Integer(n) => n.to_string().into_bytes(),
            Self::Real(n) => format!("{n:?}").into_bytes(),
            Self::Text(bytes) | Self::Blob(bytes) => bytes.clone(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Integer(_) => "integer",
            Self::Real(_) => "real",
            Self::Text(_) => "text",
            Self::Blob(_) => "blob",
        }
    }
}

impl From<finalite::ValueRef<'_>> for Cell {
    fn from(value: finalite::ValueRef<'_>) -> Self {
        match value {
            finalite::ValueRef::Null => Self::Null,
            finalite::ValueRef::Integer(n) => Self::Integer(n),
            finalite::ValueRef::Real(n) => Self::Real(n),
            finalite::ValueRef::Text(bytes) => Self::Text(bytes.into()),
            finalite::ValueRef::Blob(bytes) => Self::Blob(bytes.into()),
        }
    }
}

impl From<rusqlite::types::ValueRef<'_>> for Cell {
    fn from(value: rusqlite::types::ValueRef<'_>) -> Self {
        match value {
            rusqlite::types::ValueRef::Null => Self::Null,
            rusqlite::types::ValueRef::Integer(n) => Self::Integer(n),
            rusqlite::types::ValueRef::Real(n) => Self::Real(n),
            rusqlite::types::ValueRef::Text(bytes) => Self::Text(bytes.into()),
            rusqlite::types::ValueRef::Blob(bytes) => Self::Blob(bytes.into()),
        }
    }
}

/// Text of a result is UTF-8: both drivers bind no other.
fn utf_8(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

impl From<Cell> for finalite::Value {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Integer(n) => Self::Integer(n),
            Cell::Real(n) => Self::Real(n),
            Cell::Text(bytes) => Self::Text(utf_8(bytes)),
            Cell::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

impl From<Cell> for rusqlite::types::Value {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Integer(n) => Self::Integer(n),
            Cell::Real(n) => Self::Real(n),
            Cell::Text(bytes) => Self::Text(utf_8(bytes)),
            Cell::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

/// Both connections, and the functions that both have.
struct Pair {
    finalite: finalite::Connection,
    rusqlite: rusqlite::Connection,
    /// Name and number of arguments; `None` for any.
    scalars: Vec<(&'static str, Option<usize>)>,
    aggregates: Vec<&'static str>,
    windows: Vec<&'static str>,
}

/// Registers a closure of typed arguments with both drivers. A borrowed argument is read as its owned type by rusqlite,
/// whose `get` has no other.
macro_rules! typed {
    (@call [$($argument:ident: $type:ty = $owned:ty),*] $result:expr) => {{
        $(let $argument: $type = (&$argument).lend();)*
        $result
    }};
    ($pair:ident; $($name:literal, [$($argument:ident: $type:ty = $owned:ty),*] $result:expr;)*) => {
        $(
            $pair.finalite.create_scalar_function($name, |$($argument: $type),*| $result).unwrap();
            let count = <[&str]>::len(&[$(stringify!($argument)),*]);
            $pair
                .rusqlite
                .create_scalar_function($name, count as i32, FunctionFlags::SQLITE_UTF8, |ctx| {
                    #[allow(unused_mut, unused_assignments)]
                    let mut next = 0;
                    $(
                        let $argument: $owned = ctx.get(next)?;
                        next += 1;
                    )*
                    let _ = (next, ctx);
                    rusqlite_result(typed!(@call [$($argument: $type = $owned),*] $result))
                })
                .unwrap();
            $pair.scalars.push(($name, Some(count)));
        )*
    };
}

/// Bytes of a text or a blob, which finalite reads as `&[u8]` and `Vec<u8>`. rusqlite reads them from a blob alone.
struct Bytes(Vec<u8>);

impl rusqlite::types::FromSql for Bytes {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        value.as_bytes().map(|bytes| Self(bytes.to_vec()))
    }
}

/// Lends an owned argument as the type of the closure.
trait Lend<'a, T> {
    fn lend(self) -> T;
}

macro_rules! lent {
    ($($owned:ty => $type:ty: $lend:expr;)*) => {
        $(
            impl<'a> Lend<'a, $type> for &'a $owned {
                fn lend(self) -> $type {
                    let lend: fn(&'a $owned) -> $type = $lend;
                    lend(self)
                }
            }
        )*
    };
}

lent! {
    i64 => i64: |n| *n;
    i32 => i32: |n| *n;
    u8 => u8: |n| *n;
    u32 => u32: |n| *n;
    f64 => f64: |n| *n;
    String => String: Clone::clone;
    String => &'a str: |text| text;
    Bytes => Vec<u8>: |bytes| bytes.0.clone();
    Bytes => &'a [u8]: |bytes| &bytes.0;
    Option<i64> => Option<i64>: |n| *n;
    Option<f64> => Option<f64>: |n| *n;
    Option<String> => Option<String>: Clone::clone;
    Option<String> => Option<&'a str>: |text| text.as_deref();
    Option<Bytes> => Option<&'a [u8]>: |bytes| bytes.as_ref().map(|bytes| &*bytes.0);
}

/// Result of a closure, as rusqlite takes it.
trait Returned {
    type Output: rusqlite::ToSql;
    fn returned(self) -> Result<Self::Output, rusqlite::Error>;
}

fn rusqlite_result<R: Returned>(result: R) -> Result<R::Output, rusqlite::Error> {
    result.returned()
}

macro_rules! returned {
    ($($type:ty)*) => {
        $(
            impl Returned for $type {
                type Output = Self;
                fn returned(self) -> Result<Self, rusqlite::Error> {
                    Ok(self)
                }
            }
        )*
    };
}

returned! { i64 i32 u8 u32 bool f64 String Vec<u8> Option<i64> Option<f64> Option<String> Option<Vec<u8>> }

impl<T: rusqlite::ToSql> Returned for Result<T, &'static str> {
    type Output = T;
    fn returned(self) -> Result<T, rusqlite::Error> {
        self.map_err(|text| rusqlite::Error::UserFunctionError(text.into()))
    }
}

type OfCells = fn(&[Cell]) -> Result<Cell, &'static str>;

/// An aggregate and window function of one argument.
#[derive(Clone, Copy)]
struct Folded {
    start: fn() -> Vec<Cell>,
    step: fn(&mut Vec<Cell>, Cell) -> Result<(), &'static str>,
    inverse: fn(&mut Vec<Cell>, Cell) -> Result<(), &'static str>,
    value: OfCells,
}

impl AggregateFunction for Folded {
    type State = Vec<Cell>;
    type Output = Result<finalite::Value, &'static str>;

    fn options(&self) -> FunctionOptions {
        FunctionOptions::new().arguments(1)
    }

    fn start(&self) -> Vec<Cell> {
        (self.start)()
    }

    fn step(&self, state: &mut Vec<Cell>, call: &FunctionContext<'_>) -> Result<(), CallbackError> {
        Ok((self.step)(state, call.value(0)?.into())?)
    }

    fn finish(&self, state: Vec<Cell>) -> Self::Output {
        (self.value)(&state).map(Into::into)
    }
}

impl WindowFunction for Folded {
    fn inverse(&self, state: &mut Vec<Cell>, call: &FunctionContext<'_>) -> Result<(), CallbackError> {
        Ok((self.inverse)(state, call.value(0)?.into())?)
    }

    fn value(&self, state: &Vec<Cell>) -> Self::Output {
        (self.value)(state).map(Into::into)
    }
}

fn user_error(text: &'static str) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(text.into())
}

impl Aggregate<Vec<Cell>, rusqlite::types::Value> for Folded {
    fn init(&self, _ctx: &mut Context<'_>) -> rusqlite::Result<Vec<Cell>> {
        Ok((self.start)())
    }

    fn step(&self, ctx: &mut Context<'_>, state: &mut Vec<Cell>) -> rusqlite::Result<()> {
        (self.step)(state, ctx.get_raw(0).into()).map_err(user_error)
    }

    fn finalize(&self, _ctx: &mut Context<'_>, state: Option<Vec<Cell>>) -> rusqlite::Result<rusqlite::types::Value> {
        (self.value)(&state.unwrap_or_else(self.start)).map(Into::into).map_err(user_error)
    }
}

impl WindowAggregate<Vec<Cell>, rusqlite::types::Value> for Folded {
    fn value(&self, state: Option<&mut Vec<Cell>>) -> rusqlite::Result<rusqlite::types::Value> {
        let result = match state {
            Some(state) => (self.value)(state),
            None => (self.value)(&(self.start)()),
        };
        result.map(Into::into).map_err(user_error)
    }

    fn inverse(&self, ctx: &mut Context<'_>, state: &mut Vec<Cell>) -> rusqlite::Result<()> {
        (self.inverse)(state, ctx.get_raw(0).into()).map_err(user_error)
    }
}

impl Pair {
    fn open() -> Self {
        Self {
            finalite: finalite::Connection::open_in_memory().unwrap(),
            rusqlite: rusqlite::Connection::open_in_memory().unwrap(),
            scalars: Vec::new(),
            aggregates: Vec::new(),
            windows: Vec::new(),
        }
    }

    fn script(&self, sql: &str) {
        self.finalite.execute_batch(sql).unwrap();
        self.rusqlite.execute_batch(sql).unwrap();
    }

    /// Registers a function of any values.
    fn of_cells(&mut self, name: &'static str, arguments: Option<usize>, run: OfCells) {
        let mut options = FunctionOptions::new();
        if let Some(arguments) = arguments {
            options = options.arguments(arguments as u8);
        }
        self.finalite
            .create_scalar_function_with(name, options, move |call| {
                let cells = (0..call.argument_count()).map(|n| Ok::<_, Failure>(call.value(n)?.into()));
                Ok(finalite::Value::from(run(&cells.collect::<Result<Vec<Cell>, _>>()?)?))
            })
            .unwrap();
        let count = arguments.map_or(-1, |count| count as i32);
        self.rusqlite
            .create_scalar_function(name, count, FunctionFlags::SQLITE_UTF8, move |ctx| {
                let cells: Vec<Cell> = (0..ctx.len()).map(|n| ctx.get_raw(n).into()).collect();
                run(&cells).map(rusqlite::types::Value::from).map_err(user_error)
            })
            .unwrap();
        self.scalars.push((name, arguments));
    }

    fn folded(&mut self, name: &'static str, folded: Folded, is_window: bool) {
        let flags = FunctionFlags::SQLITE_UTF8;
        if is_window {
            self.finalite.create_window_function(name, folded).unwrap();
            self.rusqlite.create_window_function(name, 1, flags, folded).unwrap();
            self.windows.push(name);
        } else {
            self.finalite.create_aggregate_function(name, folded).unwrap();
            self.rusqlite.create_aggregate_function(name, 1, flags, folded).unwrap();
        }
        // A window function is an aggregate, too.
        self.aggregates.push(name);
    }

    /// Runs a query with both, and compares the rows, or the errors: each cell, and the program's text in an error.
    fn compare(&self, sql: &str, params: &[Cell]) -> (usize, bool) {
        let of_finalite = self.run_finalite(sql, params);
        let of_rusqlite = self.run_rusqlite(sql, params);
        let shown: Vec<String> = params.iter().map(|cell| format!("{cell:.40?}")).collect();
        match (&of_finalite, &of_rusqlite) {
            (Ok(a), Ok(b)) => {
                assert_eq!(a.len(), b.len(), "{sql} {shown:?}");
                for (row, (a, b)) in a.iter().zip(b).enumerate() {
                    assert_eq!(a, b, "row {row} of {sql} {shown:?}");
                }
                (a.len(), false)
            }
            (Err(a), Err(b)) => {
                for text in TEXTS {
                    assert_eq!(a.contains(text), b.contains(text), "{sql} {shown:?}\n{a}\n{b}");
                }
                (0, true)
            }
            (Err(a), Ok(_)) if MEANT.iter().any(|text| a.contains(text)) => (0, true),
            _ => panic!("{sql} {shown:?}\nfinalite: {of_finalite:.200?}\nrusqlite: {of_rusqlite:.200?}"),
        }
    }

    fn run_finalite(&self, sql: &str, params: &[Cell]) -> Result<Vec<Cell>, String> {
        let params = finalite::params_from_iter(params.iter().cloned().map(finalite::Value::from));
        let mut statement = self.finalite.prepare(sql).map_err(|error| error.to_string())?;
        let mut rows = statement.query(params).map_err(|error| error.to_string())?;
        let mut cells = Vec::new();
        while let Some(row) = rows.next().map_err(|error| error.to_string())? {
            cells.push(row.value(0).unwrap().into());
        }
        Ok(cells)
    }

    fn run_rusqlite(&self, sql: &str, params: &[Cell]) -> Result<Vec<Cell>, String> {
        let params = rusqlite::params_from_iter(params.iter().cloned().map(rusqlite::types::Value::from));
        let mut statement = self.rusqlite.prepare(sql).map_err(|error| error.to_string())?;
        let mut rows = statement.query(params).map_err(|error| error.to_string())?;
        let mut cells = Vec::new();
        while let Some(row) = rows.next().map_err(|error| error.to_string())? {
            cells.push(row.get_ref(0).unwrap().into());
        }
        Ok(cells)
    }
}

/// Errors of finalite where rusqlite has a result.
const MEANT: [&str; 2] = ["SQLite cannot store NaN", "not exactly representable as f64"];

/// Texts of the errors of the functions below.
const TEXTS: [&str; 6] =
    ["no even number", "the divisor is zero", "too long for this", "nothing to take", "out of turn", "not a blob"];

fn register_typed(pair: &mut Pair) {
    typed! { pair;
        "t_zero", [] 7_i64;
        "t_text", [] "constant".to_owned();
        "t_none", [] None::<i64>;
        "t_int", [n: i64 = i64] n.wrapping_mul(3);
        "t_int32", [n: i32 = i32] n.wrapping_add(1);
        "t_byte", [n: u8 = u8] n / 2;
        "t_unsigned", [n: u32 = u32] n / 3;
        "t_real", [x: f64 = f64] x / 2.0;
        "t_root", [x: f64 = f64] x.abs().sqrt();
        "t_negative", [x: f64 = f64] x < 0.0;
        "t_parity", [n: i64 = i64] n % 2 == 0;
        "t_even", [n: i64 = i64] if n % 2 == 0 { Ok(n / 2) } else { Err("no even number") };
        "t_length", [s: &str = String] s.len() as i64;
        "t_chars", [s: &str = String] s.chars().count() as i64;
        "t_upper", [s: &str = String] s.to_uppercase();
        "t_reverse", [s: String = String] s.chars().rev().collect::<String>();
        "t_twice", [s: &str = String] s.repeat(2);
        "t_short", [s: &str = String] if s.len() < 9 { Ok(s.to_owned()) } else { Err("too long for this") };
        "t_first", [s: &str = String] s.chars().next().map(String::from);
        "t_parse", [s: &str = String] s.trim().parse::<i64>().ok();
        "t_bytes", [b: &[u8] = Bytes] b.len() as i64;
        "t_sum", [b: &[u8] = Bytes] b.iter().map(|&byte| i64::from(byte)).sum::<i64>();
        "t_flip", [b: Vec<u8> = Bytes] b.iter().rev().copied().collect::<Vec<u8>>();
        "t_take", [b: &[u8] = Bytes] b.first().map(|&byte| vec![byte]).ok_or("nothing to take");
        "t_maybe", [n: Option<i64> = Option<i64>] n.map(|n| n.wrapping_add(1));
        "t_maybe_real", [x: Option<f64> = Option<f64>] x.map_or(-1.0, |x| x * 2.0);
        "t_maybe_text", [s: Option<&str> = Option<String>] s.map(|s| format!("<{s}>"));
        "t_maybe_owned", [s: Option<String> = Option<String>] s.unwrap_or_else(|| "none".to_owned());
        "t_maybe_bytes", [b: Option<&[u8]> = Option<Bytes>] b.map(<[u8]>::to_vec);
        "t_add", [a: i64 = i64, b: i64 = i64] a.wrapping_add(b);
        "t_divide", [a: i64 = i64, b: i64 = i64] if b == 0 { Err("the divisor is zero") } else { Ok(a.wrapping_div(b)) };
        "t_power", [a: f64 = f64, b: f64 = f64] a.powf(b);
        "t_join", [a: &str = String, b: &str = String] format!("{a}-{b}");
        "t_at", [s: &str = String, n: i64 = i64] s.chars().nth(n.unsigned_abs() as usize % 7).map(|c| c.to_string());
        "t_repeat", [b: &[u8] = Bytes, n: u8 = u8] b.iter().copied().cycle().take(usize::from(n)).collect::<Vec<u8>>();
        "t_three", [a: i64 = i64, b: Option<&str> = Option<String>, c: f64 = f64] format!("{a}{b:?}{c:?}");
        "t_four", [a: f64 = f64, b: f64 = f64, c: f64 = f64, d: f64 = f64] a.max(b).max(c).max(d);
        "t_five", [a: i64 = i64, b: i64 = i64, c: i64 = i64, d: i64 = i64, e: i64 = i64] a ^ b ^ c ^ d ^ e;
        "t_eight", [a: &str = String, b: Option<i64> = Option<i64>, c: Option<&str> = Option<String>, d: Option<f64> = Option<f64>,
            e: Option<i64> = Option<i64>, f: Option<i64> = Option<i64>, g: Option<i64> = Option<i64>,
            h: &[u8] = Bytes] format!("{a}{b:?}{c:?}{d:?}{e:?}{f:?}{g:?}{}", h.len());
        "t_sign", [x: f64 = f64] x.signum();
        "t_infinite", [x: f64 = f64] x / 0.0;
    }
}

fn register_of_cells(pair: &mut Pair) {
    let functions: &[(&'static str, Option<usize>, OfCells)] = &[
        ("c_same", Some(1), |c| Ok(c[0].clone())),
        ("c_kind", Some(1), |c| Ok(Cell::text(c[0].kind()))),
        ("c_number", Some(1), |c| Ok(Cell::Real(c[0].number()))),
        ("c_blob", Some(1), |c| Ok(Cell::Blob(c[0].bytes()))),
        ("c_text", Some(1), |c| Ok(Cell::Text(c[0].bytes()))),
        ("c_null", Some(1), |_| Ok(Cell::Null)),
        ("c_empty_text", Some(1), |_| Ok(Cell::text(""))),
        ("c_empty_blob", Some(1), |_| Ok(Cell::Blob(Vec::new()))),
        ("c_nan", Some(1), |_| Ok(Cell::Real(f64::NAN))),
        ("c_minus_zero", Some(1), |_| Ok(Cell::Real(-0.0))),
        ("c_min", Some(1), |_| Ok(Cell::Integer(i64::MIN))),
        ("c_max", Some(1), |_| Ok(Cell::Integer(i64::MAX))),
        ("c_nul", Some(1), |c| Ok(Cell::Text([&c[0].bytes()[..], b"\0end"].concat()))),
        ("c_big", Some(1), |c| Ok(Cell::Blob(vec![c[0].bytes().len() as u8; 70_000]))),
        ("c_big_text", Some(1), |c| Ok(Cell::Text("ä€".repeat(c[0].bytes().len() % 300 * 100).into_bytes()))),
        ("c_blob_only", Some(1), |c| match &c[0] {
            Cell::Blob(bytes) => Ok(Cell::Integer(bytes.len() as i64)),
            _ => Err("not a blob"),
        }),
        ("c_second", Some(2), |c| Ok(c[1].clone())),
        ("c_equal", Some(2), |c| Ok(Cell::Integer(i64::from(c[0] == c[1])))),
        ("c_coalesce", Some(3), |c| Ok(c.iter().find(|cell| **cell != Cell::Null).cloned().unwrap_or(Cell::Null))),
        ("c_choose", Some(3), |c| Ok(if c[0].number() > 0.0 { c[1].clone() } else { c[2].clone() })),
        ("c_sixteen", Some(16), |c| Ok(Cell::Integer(c.iter().filter(|cell| **cell == Cell::Null).count() as i64))),
        ("v_count", None, |c| Ok(Cell::Integer(c.len() as i64))),
        ("v_sum", None, |c| Ok(Cell::Real(c.iter().map(Cell::number).sum()))),
        ("v_join", None, |c| Ok(Cell::Text(c.iter().map(Cell::bytes).collect::<Vec<_>>().join(&b'|')))),
        ("v_blob", None, |c| Ok(Cell::Blob(c.iter().flat_map(Cell::bytes).collect()))),
        ("v_first", None, |c| c.first().cloned().ok_or("nothing to take")),
        ("v_last", None, |c| Ok(c.last().cloned().unwrap_or(Cell::Null))),
        ("v_kinds", None, |c| Ok(Cell::text(&c.iter().map(Cell::kind).collect::<Vec<_>>().concat()))),
        ("v_most", None, |c| {
            Ok(c.iter().max_by(|a, b| a.number().total_cmp(&b.number())).cloned().unwrap_or(Cell::Null))
        }),
        ("v_few", None, |c| if c.len() < 4 { Ok(Cell::Integer(1)) } else { Err("too long for this") }),
        ("v_hash", None, |c| {
            let bytes = c.iter().flat_map(|cell| [cell.kind().as_bytes().to_vec(), cell.bytes()].concat());
            Ok(Cell::Integer(bytes.fold(7_i64, |hash, byte| hash.wrapping_mul(31).wrapping_add(i64::from(byte)))))
        }),
        ("v_debug", None, |c| {
            let mut text = String::new();
            for cell in c {
                let _ = write!(text, "{};{};", cell.kind(), cell.bytes().len());
            }
            Ok(Cell::Text(text.into_bytes()))
        }),
    ];
    for &(name, arguments, run) in functions {
        pair.of_cells(name, arguments, run);
    }
}

/// Functions that use what a call offers beside arguments: auxiliary data and subtypes.
fn register_contexts(pair: &mut Pair) {
    let options = FunctionOptions::new().arguments(2).deterministic();
    // What the first call with this constant saw.
    pair.finalite
        .create_scalar_function_with("x_kept", options, |call| {
            let kept = call.auxiliary(0, || Ok(Cell::from(call.value(1)?)))?;
            Ok(finalite::Value::from(kept.clone()))
        })
        .unwrap();
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    pair.rusqlite
        .create_scalar_function("x_kept", 2, flags, |ctx| {
            let kept = ctx.get_or_create_aux(0, |_| Ok::<_, Failure>(Cell::from(ctx.get_raw(1))))?;
            Ok(rusqlite::types::Value::from((*kept).clone()))
        })
        .unwrap();
    pair.scalars.push(("x_kept", Some(2)));
    let options = FunctionOptions::new().arguments(1).subtypes();
    pair.finalite.create_scalar_function_with("x_subtype", options, |call| Ok(i64::from(call.subtype(0)))).unwrap();
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_SUBTYPE;
    pair.rusqlite.create_scalar_function("x_subtype", 1, flags, |ctx| Ok(i64::from(ctx.get_subtype(0)))).unwrap();
    pair.scalars.push(("x_subtype", Some(1)));
}

fn push(state: &mut Vec<Cell>, cell: Cell) -> Result<(), &'static str> {
    state.push(cell);
    Ok(())
}

/// SQLite removes the oldest row. It may remove one that was never added.
fn shift(state: &mut Vec<Cell>, cell: Cell) -> Result<(), &'static str> {
    if state.is_empty() {
        return Ok(());
    }
    if state.remove(0) == cell { Ok(()) } else { Err("out of turn") }
}

fn register_folded(pair: &mut Pair) {
    let all = Folded { start: Vec::new, step: push, inverse: shift, value: |s| Ok(Cell::Integer(s.len() as i64)) };
    let values: &[(&'static str, OfCells)] = &[
        ("count", |s| Ok(Cell::Integer(s.len() as i64))),
        ("sum", |s| Ok(Cell::Real(s.iter().map(Cell::number).sum()))),
        ("first", |s| Ok(s.first().cloned().unwrap_or(Cell::Null))),
        ("last", |s| Ok(s.last().cloned().unwrap_or(Cell::Null))),
        ("join", |s| Ok(Cell::Text(s.iter().map(Cell::bytes).collect::<Vec<_>>().join(&b',')))),
        ("blob", |s| Ok(Cell::Blob(s.iter().flat_map(Cell::bytes).collect()))),
        ("most", |s| Ok(s.iter().max_by(|a, b| a.number().total_cmp(&b.number())).cloned().unwrap_or(Cell::Null))),
        ("nulls", |s| Ok(Cell::Integer(s.iter().filter(|cell| **cell == Cell::Null).count() as i64))),
        ("few", |s| if s.len() < 6 { Ok(Cell::Integer(s.len() as i64)) } else { Err("too long for this") }),
        ("kinds", |s| Ok(Cell::text(&s.iter().map(|cell| &cell.kind()[..1]).collect::<String>()))),
    ];
    const AGGREGATES: [&str; 10] =
        ["a_count", "a_sum", "a_first", "a_last", "a_join", "a_blob", "a_most", "a_nulls", "a_few", "a_kinds"];
    const WINDOWS: [&str; 10] =
        ["w_count", "w_sum", "w_first", "w_last", "w_join", "w_blob", "w_most", "w_nulls", "w_few", "w_kinds"];
    for (&(_, value), (aggregate, window)) in values.iter().zip(AGGREGATES.into_iter().zip(WINDOWS)) {
        pair.folded(aggregate, Folded { value, ..all }, false);
        pair.folded(window, Folded { value, ..all }, true);
    }
    // Errors of the steps.
    let refusing =
        Folded { step: |s, cell| if cell == Cell::Null { Err("nothing to take") } else { push(s, cell) }, ..all };
    pair.folded("a_refusing", refusing, false);
    pair.folded("w_refusing", refusing, true);
    let holding = Folded { inverse: |_, _| Err("out of turn"), ..all };
    pair.folded("w_holding", holding, true);
    let seeded = Folded {
        start: || vec![Cell::text("seed")],
        inverse: |s, _| {
            s.pop();
            Ok(())
        },
        value: |s| Ok(s.last().cloned().unwrap_or(Cell::Null)),
        ..all
    };
    pair.folded("a_seeded", seeded, false);
    pair.folded("w_seeded", seeded, true);
}

/// A xorshift generator.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn cell(&mut self) -> Cell {
        const INTEGERS: [i64; 12] = [0, 1, -1, 2, 7, 127, 128, 255, 256, i32::MAX as i64 + 1, i64::MAX, i64::MIN];
        const REALS: [f64; 8] = [0.0, -0.0, 0.5, -1.5, 1e300, f64::INFINITY, f64::NEG_INFINITY, 3.0];
        const TEXTS: [&str; 10] = ["", "a", "42", " -7 ", "4.5", "grüße", "日本語 🦀", "with\0nul", "x'00'", "null"];
        match self.below(12) {
            0 | 1 => Cell::Null,
            2..=4 => Cell::Integer(self.of(&INTEGERS)),
            5 | 6 => Cell::Real(self.of(&REALS)),
            7 | 8 => Cell::text(self.of(&TEXTS)),
            9 => Cell::Text("long €".repeat(self.below(3_000)).into_bytes()),
            10 => Cell::Blob((0..self.below(9)).map(|byte| (byte * 47) as u8).collect()),
            _ => Cell::Blob(vec![0xff; self.below(20_000)]),
        }
    }

    /// One that the function is likely to take, so that not all calls are errors: what its first argument is says most.
    fn cells(&mut self, count: usize) -> Vec<Cell> {
        let like = self.cell();
        (0..count).map(|_| if self.below(3) == 0 { self.cell() } else { like.clone() }).collect()
    }

    fn frame(&mut self) -> String {
        let unit = self.of(&["ROWS", "GROUPS", "RANGE"]);
        let (starts, ends): (&[&str], &[&str]) = match unit {
            "RANGE" => (&["UNBOUNDED PRECEDING", "CURRENT ROW"], &["CURRENT ROW", "UNBOUNDED FOLLOWING"]),
            _ => (
                &["UNBOUNDED PRECEDING", "2 PRECEDING", "1 PRECEDING", "CURRENT ROW"],
                &["CURRENT ROW", "1 FOLLOWING", "2 FOLLOWING", "UNBOUNDED FOLLOWING"],
            ),
        };
        let exclude = self.of(&["", "EXCLUDE CURRENT ROW", "EXCLUDE GROUP", "EXCLUDE TIES"]);
        let both = match self.below(4) {
            0 if unit == "ROWS" => "BETWEEN 3 PRECEDING AND 2 PRECEDING".to_owned(),
            1 if unit == "ROWS" => "BETWEEN 1 FOLLOWING AND 3 FOLLOWING".to_owned(),
            _ => format!("BETWEEN {} AND {}", self.of(starts), self.of(ends)),
        };
        format!("PARTITION BY g ORDER BY id {unit} {both} {exclude}")
    }
}

fn the_same_calls(encoding: &str, seed: u64) {
    let mut pair = Pair::open();
    pair.script(&format!("PRAGMA encoding = '{encoding}'"));
    pair.script("CREATE TABLE t(id INTEGER PRIMARY KEY, g, v)");
    register_typed(&mut pair);
    register_of_cells(&mut pair);
    register_contexts(&mut pair);
    register_folded(&mut pair);
    let registered = pair.scalars.len() + pair.aggregates.len();
    assert!(registered >= 100, "{registered}");
    let mut random = Random(seed);
    for id in 0..40 {
        let (g, v) = (id / 9, random.cell());
        let sql = "INSERT INTO t VALUES (?, ?, ?)";
        pair.compare(sql, &[Cell::Integer(id), Cell::Integer(g), v]);
    }
    let calls: usize = std::env::var("CALLS").map_or(2_000, |calls| calls.parse().unwrap());
    let (mut cells, mut errors) = (0, 0);
    let mut count = |(rows, is_error): (usize, bool)| {
        cells += rows;
        errors += usize::from(is_error);
    };
    // Each function once with each kind of argument, and then any calls.
    for &(name, arguments) in &pair.scalars.clone() {
        let n = arguments.unwrap_or(3);
        let marks = vec!["?"; n].join(", ");
        for like in [
            Cell::Null,
            Cell::Integer(4),
            Cell::Real(2.5),
            Cell::text("text"),
            Cell::Blob(vec![1, 2]),
            Cell::Blob(Vec::new()),
        ] {
            count(pair.compare(&format!("SELECT {name}({marks})"), &vec![like; n]));
        }
    }
    for _ in 0..calls {
        count(match random.below(5) {
            0..=2 => {
                let (name, arguments) = random.of(&pair.scalars);
                let n = arguments.unwrap_or_else(|| random.below(6));
                let params = random.cells(n);
                pair.compare(&format!("SELECT {name}({})", vec!["?"; n].join(", ")), &params)
            }
            3 => {
                let name = random.of(&pair.aggregates);
                let filter = random.of(&["", "FILTER (WHERE id % 3 <> 0)"]);
                let rest = random.of(&[
                    "GROUP BY g",
                    "",
                    "WHERE 0",
                    "GROUP BY g HAVING count(*) > 8",
                    "WHERE typeof(v) = 'text'",
                ]);
                let distinct = random.of(&["", "DISTINCT "]);
                pair.compare(&format!("SELECT {name}({distinct}v) {filter} FROM t {rest}"), &[])
            }
            _ => {
                let (name, frame) = (random.of(&pair.windows), random.frame());
                pair.compare(&format!("SELECT {name}(v) OVER ({frame}) FROM t ORDER BY id"), &[])
            }
        });
    }
    // Nested calls, over the table.
    for (outer, inner) in [("c_same", "c_blob"), ("v_hash", "c_text"), ("t_maybe_text", "c_kind"), ("c_kind", "c_nan")]
    {
        count(pair.compare(&format!("SELECT {outer}({inner}(v)) FROM t"), &[]));
    }
    for sql in [
        "SELECT x_kept('constant', v) FROM t",
        "SELECT x_kept(?, v) || x_kept('other', id) FROM t",
        "SELECT x_kept(id, v) FROM t",
        "SELECT x_subtype(json('[1]'))",
        "SELECT x_subtype('[1]')",
    ] {
        count(pair.compare(sql, if sql.contains('?') { &[Cell::Integer(1)] } else { &[] }));
    }
    println!(
        "{encoding}: {registered} functions, {calls} calls and each once: {cells} equal cells, {errors} errors in both"
    );
    assert!(cells > calls, "too many of the calls fail: {cells} cells, {errors} errors");
    assert!(errors > calls / 20, "too few of the calls fail: {errors}");
}

#[test]
fn both_drivers_give_the_same_cells() {
    the_same_calls("UTF-8", 0x9e37_79b9_7f4a_7c15);
}

#[test]
fn both_drivers_give_the_same_cells_of_a_utf_16_database() {
    the_same_calls("UTF-16le", 0xd1b5_4a32_d192_ed03);
}

/// The positive control: a function that differs is found.
#[test]
#[should_panic(expected = "row 0 of SELECT differs(1)")]
fn a_difference_is_found() {
    let pair = Pair::open();
    pair.finalite.create_scalar_function("differs", |n: i64| n).unwrap();
    let flags = FunctionFlags::SQLITE_UTF8;
    pair.rusqlite.create_scalar_function("differs", 1, flags, |ctx| Ok(ctx.get::<i64>(0)? + 1)).unwrap();
    pair.compare("SELECT differs(1)", &[]);
}
