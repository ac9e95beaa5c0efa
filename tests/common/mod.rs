//! Parts that several test programs use.
#![allow(dead_code, reason = "each program uses a part")]

use std::path::{Path, PathBuf};

pub mod cell;
#[cfg(unix)]
pub mod child;
pub mod incident;
pub mod leaked;
pub mod library;
pub mod listening;
pub mod panicking;
pub mod profile;
pub mod random;
pub mod sweep;
#[cfg(target_os = "linux")]
pub mod system;
pub mod witness;

/// The path of a file as SQLite has it: without links and, on Windows, without the prefix of `std::fs::canonicalize`.
pub fn full_path(path: &Path) -> PathBuf {
    let path = path.canonicalize().unwrap();
    path.to_str().and_then(|text| text.strip_prefix(r"\\?\")).map_or_else(|| path.clone(), PathBuf::from)
}
