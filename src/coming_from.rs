//! Guides for programs that move from rusqlite, sqlx or diesel, and a report on programs that were moved.

#[doc = include_str!("../docs/from_rusqlite.md")]
pub mod rusqlite {}

#[doc = include_str!("../docs/from_sqlx.md")]
pub mod sqlx {}

#[doc = include_str!("../docs/from_diesel.md")]
pub mod diesel {}

#[doc = include_str!("../docs/ports.md")]
pub mod ports {}
