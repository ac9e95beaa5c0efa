//! error[E0277]: the macro says what the tuple says
//! says: for another crate's, bind what it converts to
use finalite::{Connection, Result, params};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.execute("SELECT ?", params![std::net::Ipv4Addr::LOCALHOST])?; //~ fails
    conn.execute("SELECT ?", params![std::net::Ipv4Addr::LOCALHOST.to_bits()])?; //~ passes
    Ok(())
}
