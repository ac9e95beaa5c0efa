//! error[-]: a case that does not exist is not ignored
//! says: no such case: one of "lowercase", "UPPERCASE"
use finalite::FromRow;

#[derive(FromRow)]
#[finalite(rename_all = "CamelCase")] //~ fails
#[finalite(rename_all = "camelCase")] //~ passes
struct User {
    id: i64,
}

fn main() {}
