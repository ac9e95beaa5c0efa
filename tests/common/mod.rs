//! Parts that several test programs use.
#![allow(dead_code, reason = "each program uses a part")]

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
#[cfg(target_os = "linux")]
pub mod system;
pub mod witness;
