//! error[-]: a row is read as a struct
//! says: an enum that is one value has `FromSql` and `ToSql`
use finalite::{FromRow, FromSql};

#[derive(FromRow)] //~ fails
#[derive(FromSql)] //~ passes
enum Status {
    Open,
    Done,
}

fn main() {}
