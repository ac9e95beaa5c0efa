//! Incidents of other drivers, made again and with the same check shown to see them: docs/incidents.md.

pub mod canal;
pub mod everything;
pub mod gosqlite;
pub mod patroni;
pub mod tidb;
pub mod vitess;
