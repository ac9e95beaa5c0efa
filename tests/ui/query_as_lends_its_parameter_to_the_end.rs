//! error[E0506]: borrowed text is bound without a copy, until the iterator is dropped
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut name = "Ada";
    let mut statement = conn.prepare("SELECT ?")?;
    let mut names = statement.query_as::<String>((&name,))?;
    name = "Grace"; //~ fails
    assert!(names.next().is_some());
    Ok(())
}
