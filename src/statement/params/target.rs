//! [`Target`]: the place of the values that a binder receives.

use crate::error::Result;
use crate::raw::{Binding, RawCopy, RawList};
use crate::sql;
use crate::statement::remote::{Collected, RemoteParam};
use crate::value::RawParam;

/// The parameters of a local statement, or a list of values for another engine.
///
/// A caller that is inlined knows the variant, and has no check of it.
pub(in crate::statement) enum Target<'s, 'p> {
    Statement(Binding<'s, 'p>),
    Collected(Box<Collected<'s, 'p>>),
}

impl<'p> Target<'_, 'p> {
    #[inline]
    pub(super) fn parameter_count(&self) -> usize {
        match self {
            Self::Statement(raw) => raw.parameter_count(),
            Self::Collected(values) => values.names().len(),
        }
    }

    pub(super) fn parameter_names(&self) -> &[Option<Box<str>>] {
        match self {
            Self::Statement(raw) => raw.parameter_names(),
            Self::Collected(values) => values.names(),
        }
    }

    /// Returns for each parameter, by index minus one, whether the SQL contains it.
    pub(super) fn in_use(&self) -> &[bool] {
        match self {
            Self::Statement(raw) => raw.in_use(sql::numbers_in_use),
            Self::Collected(values) => values.in_use(),
        }
    }

    pub(super) fn sql(&self) -> &str {
        match self {
            Self::Statement(raw) => raw.sql(),
            Self::Collected(values) => values.sql(),
        }
    }

    /// Binds one parameter, 1-based, without copying.
    #[inline(always)]
    pub(super) fn bind(&mut self, index: usize, param: RawParam<'p>) -> Result<()> {
        match self {
            Self::Statement(raw) => Ok(raw.bind(index, param)?),
            Self::Collected(values) => values.set(index, param.into()),
        }
    }

    /// Binds owned text, 1-based.
    #[inline]
    pub(super) fn bind_text(&mut self, index: usize, text: String) -> Result<()> {
        match self {
            Self::Statement(raw) => Ok(raw.bind_copy(index, RawCopy::Text(&text))?),
            Self::Collected(values) => values.set(index, RemoteParam::Text(text.into())),
        }
    }

    /// Binds owned bytes, 1-based.
    #[inline]
    pub(super) fn bind_blob(&mut self, index: usize, bytes: Vec<u8>) -> Result<()> {
        match self {
            Self::Statement(raw) => Ok(raw.bind_copy(index, RawCopy::Blob(&bytes))?),
            Self::Collected(values) => values.set(index, RemoteParam::Blob(bytes.into())),
        }
    }

    /// Binds a list, 1-based.
    pub(super) fn bind_list(&mut self, index: usize, list: RawList<'p>) -> Result<()> {
        match self {
            Self::Statement(raw) => Ok(raw.bind_list(index, list)?),
            Self::Collected(values) => Err(values.no_list()),
        }
    }

    /// Clears the marks of all parameters.
    pub(super) fn clear_marks(&mut self) {
        match self {
            Self::Statement(raw) => raw.clear_marks(),
            Self::Collected(values) => values.clear_marks(),
        }
    }

    /// Marks a parameter as having a value; 1-based, in range.
    pub(super) fn mark(&mut self, index: usize) {
        match self {
            Self::Statement(raw) => raw.mark(index),
            Self::Collected(values) => values.mark(index),
        }
    }

    /// Whether a parameter has a value; 1-based, in range.
    pub(super) fn is_marked(&self, index: usize) -> bool {
        match self {
            Self::Statement(raw) => raw.is_marked(index),
            Self::Collected(values) => values.is_marked(index),
        }
    }
}
