//! The operating system below SQLite and below everything that finalite tracks. It imports the standard library alone.

pub(crate) mod append_list;
pub(crate) mod clock;
pub(crate) mod fork;
pub(crate) mod huge_pages;
pub(crate) mod threads;
