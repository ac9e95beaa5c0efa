//! error[-]: a path is no text
//! says: a path, without quotes
use finalite::{ConversionError, FromRow, ValueRef};

mod positive {
    pub fn from_sql(value: super::ValueRef<'_>) -> Result<i64, super::ConversionError> {
        value.as_i64()
    }
}

#[derive(FromRow)]
struct User {
    #[finalite(with = "positive")] //~ fails
    #[finalite(with = positive)] //~ passes
    id: i64,
}

fn main() {}
