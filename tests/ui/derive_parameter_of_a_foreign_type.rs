//! error[E0277]: a field is not bound as any type, and the field is shown
//! says: since: std::time::Instant
use finalite::Params;

#[derive(Params)]
struct User {
    id: i64,
    since: std::time::Instant, //~ fails
    since: i64, //~ passes
}

fn main() {}
