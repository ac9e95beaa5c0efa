//! Queries of R-trees.

use std::any::Any;
use std::fmt;
use std::panic::Location;

use super::aggregate::CallbackError;
use super::register::{Replaced, replaced};
use super::tokenizer::{checked, failure};
use crate::Connection;
use crate::convert::FromSql;
use crate::error::{Error, ErrorKind, FunctionCause, Result};
use crate::raw::rtree::{RawWithin, RtreeCall};
use crate::value::ConversionError;

/// A box in an R-tree: a row of the table, or a part of the tree in which rows are.
///
/// Coordinates are reals, also those of `rtree_i32`. SQLite stores them as 32-bit numbers: a box of a row is rounded
/// outward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RtreeBox<'call>(&'call [f64]);

impl<'call> RtreeBox<'call> {
    /// Returns the number of dimensions, 1 to 5.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.0.len() / 2
    }

    /// Returns the least coordinate of a dimension, 0-based.
    ///
    /// # Panics
    ///
    /// If there is no such dimension.
    #[must_use]
    pub fn min(&self, dimension: usize) -> f64 {
        self.0[2 * dimension]
    }

    /// Returns the greatest coordinate of a dimension, 0-based.
    ///
    /// # Panics
    ///
    /// If there is no such dimension.
    #[must_use]
    pub fn max(&self, dimension: usize) -> f64 {
        self.0[2 * dimension + 1]
    }

    /// Returns the least and the greatest coordinate of each dimension, in the order of the table's columns.
    #[must_use]
    pub fn coordinates(&self) -> &'call [f64] {
        self.0
    }
}

/// Relation of a box to what a query looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Within {
    /// Nothing in the box is: it is not visited.
    Not,
    /// Something in it may be: each part is asked about. For a row, the row is one.
    Partly,
    /// Everything in it is.
    Fully,
}

/// Judgement of a query about a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RtreeMatch {
    within: Within,
    score: f64,
}

impl RtreeMatch {
    /// Returns a judgement: the relation, and a score. Of the boxes that wait, SQLite visits one of the least score
    /// first; so it returns rows by their score if that of a box is not greater than those of its parts. A score below 0
    /// counts as 0.
    #[must_use]
    pub const fn new(within: Within, score: f64) -> Self {
        Self { within, score }
    }
}

/// One call of a query of an R-tree, about a box.
pub struct RtreeQuery<'call> {
    call: &'call RtreeCall<'call>,
    name: &'call str,
}

impl<'call> RtreeQuery<'call> {
    /// Returns the box.
    #[must_use]
    pub fn area(&self) -> RtreeBox<'call> {
        RtreeBox(self.call.coordinates())
    }

    /// Returns the parameters of the function in SQL, as numbers: 0 for what is none.
    #[must_use]
    pub fn parameters(&self) -> &'call [f64] {
        self.call.parameters()
    }

    /// Returns a parameter of the function in SQL, 0-based, as a Rust type.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::FunctionArgument`] if it does not convert, [`ErrorKind::Misuse`] if there is none,
    /// [`ErrorKind::NoMemory`].
    pub fn parameter<T: FromSql<'call>>(&self, parameter: usize) -> Result<T> {
        let Some(value) = self.call.parameter(parameter)? else {
            return Err(Error::new(ErrorKind::Misuse { reason: "the R-tree query has no parameter of this index" }));
        };
        T::from_sql(value).map_err(|problem: ConversionError| {
            Error::new(ErrorKind::FunctionArgument {
                code: crate::ResultCode::ERROR,
                function: self.name.into(),
                argument: parameter + 1,
                found: value.data_type(),
                problem,
            })
        })
    }

    /// Returns the level of the box: 0 for a row of the table, and more for parts of the tree.
    #[must_use]
    pub fn level(&self) -> usize {
        self.call.level()
    }

    /// Returns the level of the whole tree, the greatest.
    #[must_use]
    pub fn level_max(&self) -> usize {
        self.call.level_max()
    }

    /// Returns the rowid, if the box is a row.
    #[must_use]
    pub fn rowid(&self) -> Option<i64> {
        (self.call.level() == 0).then(|| self.call.rowid())
    }

    /// Returns the score of the part of the tree in which the box is.
    #[must_use]
    pub fn parent_score(&self) -> f64 {
        self.call.parent_score()
    }

    /// Returns the relation of the part of the tree in which the box is: never [`Within::Not`].
    #[must_use]
    pub fn parent_within(&self) -> Within {
        match self.call.parent_within() {
            RawWithin::FULLY => Within::Fully,
            RawWithin::NOT => Within::Not,
            _ => Within::Partly,
        }
    }

    /// Returns the number of boxes of a level that wait to be visited; 0 for a level that the tree lacks.
    #[must_use]
    pub fn waiting(&self, level: usize) -> u32 {
        self.call.waiting(level).unwrap_or(0)
    }

    /// Returns the state of the query, or computes it for the first box. It is dropped when the query ends. What changes
    /// in it is in a `Cell`.
    ///
    /// # Errors
    ///
    /// The error of `compute`, and one for a state of another type.
    pub fn state<T: Any + Send>(
        &self,
        compute: impl FnOnce() -> std::result::Result<T, CallbackError>,
    ) -> std::result::Result<&'call T, CallbackError> {
        let state = match self.call.state() {
            Some(state) => state,
            None => {
                let state = Box::new(compute()?);
                self.call.set_state(state)
            }
        };
        state.downcast_ref().ok_or_else(|| "the state of the query is of another type".into())
    }
}

impl fmt::Debug for RtreeQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RtreeQuery").field("name", &self.name).field("level", &self.level()).finish_non_exhaustive()
    }
}

impl Connection {
    /// Makes a closure a shape by which R-trees are searched: `SELECT .. FROM tree WHERE id MATCH name(parameters)`. It
    /// gets a box and the parameters, and returns whether the shape overlaps the box. Returns what was replaced.
    ///
    /// It is asked about parts of the tree, too: a part that the shape does not overlap is not visited. The function of
    /// this name, of any number of arguments, is removed by [`remove_function`](Self::remove_function).
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` if it replaces a function while a statement is running; [`ErrorKind::Misuse`] for a name that
    /// contains a NUL, and within a callback; [`ErrorKind::NoMemory`]; [`ErrorKind::Unsupported`] for a SQLite whose
    /// R-trees have integers alone. Where memory runs out, the function of this name may be gone. A program that calls this
    /// does not link with a SQLite without R-trees. An error of the closure ends the statement: [`ErrorKind::Function`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.create_rtree_geometry("circle", |area, parameters| {
    ///     let &[x, y, radius] = parameters else { return Err("circle(x, y, radius)".into()) };
    ///     let distance = |at: f64, dimension| at - at.clamp(area.min(dimension), area.max(dimension));
    ///     Ok(distance(x, 0).hypot(distance(y, 1)) <= radius)
    /// })?;
    /// conn.execute_batch(
    ///     "CREATE VIRTUAL TABLE tree USING rtree(id, x0, x1, y0, y1);
    ///      INSERT INTO tree VALUES (1, 0, 1, 0, 1), (2, 5, 6, 0, 1), (3, 2, 3, 2, 3)",
    /// )?;
    /// let near: Vec<i64> = conn.query_all("SELECT id FROM tree WHERE id MATCH circle(0, 0, 3) ORDER BY id", ())?;
    /// assert_eq!(near, [1, 3]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_rtree_geometry_callback](https://sqlite.org/rtree.html#the_legacy_xgeom_callback)
    #[track_caller]
    #[doc(alias = "sqlite3_rtree_geometry_callback")]
    pub fn create_rtree_geometry(
        &self,
        name: &str,
        overlaps: impl Fn(RtreeBox<'_>, &[f64]) -> std::result::Result<bool, CallbackError> + Send + 'static,
    ) -> Result<Replaced> {
        let c_name = checked(name)?;
        let before = self.has_function(name, None)?;
        let name: Box<str> = name.into();
        let call = move |coordinates: &[f64], parameters: &[f64]| {
            overlaps(RtreeBox(coordinates), parameters).map_err(|error| failure(&name, error, FunctionCause::Returned))
        };
        let is_own = self.db().create_rtree_geometry(&c_name, Location::caller(), call);
        Ok(replaced(is_own.map_err(|fault| self.error(fault))?, before))
    }

    /// Makes a closure a query of R-trees: `SELECT .. FROM tree WHERE id MATCH name(parameters)`. For each box it returns
    /// how far it is within what is looked for, and a score, by which SQLite goes through the tree. Returns what was
    /// replaced.
    ///
    /// # Errors
    ///
    /// See [`create_rtree_geometry`](Self::create_rtree_geometry). A score that is no number is an error, too.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    /// use finalite::extend::{RtreeMatch, Within};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// // All rows, the nearest first.
    /// conn.create_rtree_query("near", |query| {
    ///     let (area, at) = (query.area(), query.parameters());
    ///     let distance = |dimension: usize| at[dimension] - at[dimension].clamp(area.min(dimension), area.max(dimension));
    ///     Ok(RtreeMatch::new(Within::Partly, distance(0).hypot(distance(1))))
    /// })?;
    /// conn.execute_batch(
    ///     "CREATE VIRTUAL TABLE tree USING rtree(id, x0, x1, y0, y1);
    ///      INSERT INTO tree VALUES (1, 0, 1, 0, 1), (2, 5, 6, 0, 1), (3, 2, 3, 2, 3)",
    /// )?;
    /// let nearest: Vec<i64> = conn.query_all("SELECT id FROM tree WHERE id MATCH near(6, 0) LIMIT 2", ())?;
    /// assert_eq!(nearest, [2, 3]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_rtree_query_callback](https://sqlite.org/rtree.html#the_new_xqueryfunc_callback)
    #[track_caller]
    #[doc(alias = "sqlite3_rtree_query_callback")]
    pub fn create_rtree_query(
        &self,
        name: &str,
        judge: impl Fn(&RtreeQuery<'_>) -> std::result::Result<RtreeMatch, CallbackError> + Send + 'static,
    ) -> Result<Replaced> {
        let c_name = checked(name)?;
        let before = self.has_function(name, None)?;
        let name: Box<str> = name.into();
        let call = move |call: &RtreeCall<'_>| {
            let judged = judge(&RtreeQuery { call, name: &name }).and_then(|RtreeMatch { within, score }| {
                if score.is_nan() {
                    return Err("the score is no number".into());
                }
                let within = match within {
                    Within::Not => RawWithin::NOT,
                    Within::Partly => RawWithin::PARTLY,
                    Within::Fully => RawWithin::FULLY,
                };
                Ok((within, score))
            });
            judged.map_err(|error| failure(&name, error, FunctionCause::Returned))
        };
        let is_own = self.db().create_rtree_query(&c_name, Location::caller(), call);
        Ok(replaced(is_own.map_err(|fault| self.error(fault))?, before))
    }
}
