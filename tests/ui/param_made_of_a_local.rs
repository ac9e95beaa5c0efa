//! error[E0515]: what `ToSql` lends must outlive the rows
use finalite::{Connection, Param, Result, ToSql};

struct Greeting;

impl ToSql for Greeting {
    fn to_sql(&self) -> Param<'_> {
        let text = String::from("hello");
        let text = text.as_str(); //~ fails
        Param::text(text)
    }
}

fn main() -> Result<()> {
    Connection::open_in_memory()?.execute("SELECT ?", (Greeting,))?;
    Ok(())
}
