//! error[-]: a value is one field
//! says: a struct of several columns has `FromRow` and `Params`
use finalite::{FromRow, FromSql};

#[derive(FromSql)] //~ fails
#[derive(FromRow)] //~ passes
struct Pair(i64, String);

fn main() {}
