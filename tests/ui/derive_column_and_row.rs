//! error[E0119]: a value is also a row of one column
use finalite::{FromRow, FromSql};

#[derive(FromSql)]
#[derive(FromRow)] //~ fails
struct Id(i64);

fn main() {}
