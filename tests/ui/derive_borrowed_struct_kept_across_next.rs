//! error[E0499]: a struct that borrows a row ends before the next one
use finalite::{Connection, FromRow, Result};

#[derive(FromRow)]
struct User<'row> {
    name: &'row str,
}

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut statement = conn.prepare("SELECT 'Ada' AS name")?;
    let mut rows = statement.query(())?;
    let user = rows.next()?.map(User::from_row).transpose()?;
    drop(rows.next()?); //~ fails
    drop(user.map(|user| user.name.len()));
    drop(rows.next()?); //~ passes
    Ok(())
}
