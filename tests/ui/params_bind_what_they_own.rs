//! error[E0597]: what an impl of `Params` lends must outlive the rows, and its own locals do not
use finalite::{Binder, Connection, Params, Result};

struct Greeting;

impl<'p> Params<'p> for Greeting {
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        let text = String::from("hello");
        let text = text.as_str(); //~ fails
        binder.push(text)
    }
}

fn main() -> Result<()> {
    Connection::open_in_memory()?.execute("SELECT ?", Greeting)?;
    Ok(())
}
