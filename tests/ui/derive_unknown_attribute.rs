//! error[-]: an attribute that is misspelled is not ignored
//! says: no such attribute of a field: one of `rename = ".."`, `default`
use finalite::FromRow;

#[derive(FromRow)]
struct User {
    #[finalite(renamed = "user_id")] //~ fails
    #[finalite(rename = "user_id")] //~ passes
    id: i64,
}

fn main() {}
