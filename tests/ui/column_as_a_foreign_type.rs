//! error[E0277]: a column has to be read by somebody
//! says: for a type of your own, implement `finalite::FromSql`
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.query_row("SELECT '::1'", (), |row| row.get::<std::net::IpAddr>(0))?; //~ fails
    conn.query_row("SELECT '::1'", (), |row| Ok(row.get::<&str>(0)?.parse::<std::net::IpAddr>()))?; //~ passes
    Ok(())
}
