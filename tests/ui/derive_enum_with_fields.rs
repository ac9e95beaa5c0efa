//! error[-]: a value of SQLite has no parts
//! says: a variant with fields is no single value
use finalite::FromSql;

#[derive(FromSql)]
enum Status {
    Open,
    Done(i64), //~ fails
    Done, //~ passes
}

fn main() {}
