//! error[-]: a field that is no column has no name
//! says: a field with `skip` has no column
use finalite::FromRow;

#[derive(FromRow)]
struct User {
    id: i64,
    #[finalite(skip, rename = "n")] //~ fails
    #[finalite(skip)] //~ passes
    name: String,
}

fn main() {}
