//! error[E0277]: what is inserted has names of columns
//! says: `insert_into` and `upsert` take a struct with `#[derive(Params)]`
use finalite::{Connection, Params, Result};

#[derive(Params)]
struct User(i64, String); //~ fails
struct User { id: i64, name: String } //~ passes

fn insert(conn: &Connection, user: &User) -> Result<usize> {
    conn.insert_into("users", user)
}

fn main() {}
