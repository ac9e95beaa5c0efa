//! error[-]: fields without names are columns by position
//! says: a field without a name is a column by position
use finalite::FromRow;

#[derive(FromRow)]
struct Pair(
    i64,
    #[finalite(rename = "name")] //~ fails
    String,
);

fn main() {}
