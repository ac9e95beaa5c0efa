//! Everything that a statement needs of its connection.

pub(crate) mod cache;
pub(crate) mod failures;
