//! error[E0597]: rows that own their statement borrow the list that is lent to them
use finalite::{Connection, Result, array};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let mut rows;
    {
        let ids = vec![1_i64, 2];
        let list = array(&ids); //~ fails
        let list = array(ids.clone()); //~ passes
        rows = conn.prepare("SELECT value FROM list(?)")?.into_rows((list,))?;
    }
    rows.next()?;
    Ok(())
}
