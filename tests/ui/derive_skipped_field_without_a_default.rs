//! error[E0277]: a field that is not read has to come from somewhere
//! says: cache: std::time::Instant
use finalite::FromRow;

#[derive(FromRow)]
struct User {
    id: i64,
    #[finalite(skip)]
    cache: std::time::Instant, //~ fails
    cache: Vec<u8>, //~ passes
}

fn main() {}
