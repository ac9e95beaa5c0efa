//! SQLite's file format: pages, b-trees, records. Pure decoding of bytes, without I/O and without SQLite.

pub(crate) mod cells;
pub(crate) mod condition;
pub(crate) mod format;
pub(crate) mod leading;
pub(crate) mod pointer_map;
pub(crate) mod rowid_range;
pub(crate) mod tree;
pub(crate) mod value_set;
