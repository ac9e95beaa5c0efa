//! error[-]: a column is read by one field
//! says: another field has the column `ID`
use finalite::FromRow;

#[derive(FromRow)]
struct User {
    id: i64,
    #[finalite(rename = "ID")] //~ fails
    #[finalite(rename = "ID2")] //~ passes
    other: i64,
}

fn main() {}
