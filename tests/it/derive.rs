//! The derive macros: `FromRow`, `Params`, `FromSql` and `ToSql`.

mod insert;
mod params;
mod rows;
mod values;
