//! error[E0277]: what a row lends does not outlive it
//! says: or read the row by a closure
use finalite::{Connection, FromRow, Result};

#[derive(FromRow)]
struct User<'row> {
    name: &'row str,
}

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let users = conn.query_all::<User>("SELECT 'Ada' AS name", ())?; //~ fails
    let users = conn.query_row("SELECT 'Ada' AS name", (), |row| User::from_row(row).map(|user| user.name.len()))?; //~ passes
    drop(users);
    Ok(())
}
