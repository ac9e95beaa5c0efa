//! error[-]: an enum with a repr is an integer, which has no name
//! says: `#[repr(u8)]` makes the enum an integer: `#[finalite(text)]` on the enum makes it text
use finalite::FromSql;

#[derive(FromSql)]
#[repr(u8)]
enum Level {
    #[finalite(rename = "low")] //~ fails
    Low = 1,
}

fn main() {}
