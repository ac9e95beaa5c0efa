//! error[E0515]: what `IntoParam` lends must outlive the rows
use finalite::{Connection, IntoParam, Param, Result};

struct Greeting;

impl<'p> IntoParam<'p> for Greeting {
    fn into_param(self) -> Param<'p> {
        let text = String::from("hello");
        let text = text.as_str(); //~ fails
        Param::text(text)
    }
}

fn main() -> Result<()> {
    Connection::open_in_memory()?.execute("SELECT ?", (Greeting,))?;
    Ok(())
}
