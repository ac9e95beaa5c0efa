//! The derive macros: `FromRow`, `Params`, `FromSql` and `ToSql`.

mod hygiene;
mod insert;
#[cfg(feature = "serde_json")]
mod json;
mod params;
mod rows;
mod values;
