//! The operating system below SQLite and below everything that finalite tracks. It imports the standard library alone.

pub(crate) mod append_list;
pub(crate) mod clock;
pub(crate) mod fork;
pub(crate) mod huge_pages;
#[cfg(feature = "loadable-extension")]
pub(crate) mod pinned;
pub(crate) mod threads;
