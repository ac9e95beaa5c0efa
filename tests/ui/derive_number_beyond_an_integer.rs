//! error[E0080]: SQLite's integers have 64 bits with sign
//! says: `Most` does not fit in an INTEGER of SQLite
use finalite::ToSql;

#[derive(ToSql)]
#[repr(u64)]
enum Level {
    Most = u64::MAX, //~ fails
    Most = i64::MAX as u64, //~ passes
}

fn main() {}
