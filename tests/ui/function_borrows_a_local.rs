//! error[E0597]: a function is kept until its connection closes
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let greeting = String::from("hello");
    let greeting = &*greeting; //~ fails
    let greeting = greeting.clone(); //~ passes
    conn.create_scalar_function("greet", move |name: &str| format!("{greeting} {name}"))?;
    Ok(())
}
