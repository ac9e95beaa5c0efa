//! error[E0277]: a column is not read as any type, and the field is shown
//! says: since: std::time::Instant
use finalite::FromRow;

#[derive(FromRow)]
struct User {
    id: i64,
    since: std::time::Instant, //~ fails
    since: i64, //~ passes
}

fn main() {}
