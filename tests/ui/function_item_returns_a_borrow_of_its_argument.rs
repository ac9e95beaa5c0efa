//! error[E0277]: a plain function has a result that borrows nothing
//! says: use `create_scalar_function_with` and return `Ok(call.reply(result))`
use finalite::extend::FunctionOptions;
use finalite::{Connection, Result};

fn trimmed(text: &str) -> &str {
    text.trim()
}

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    let options = FunctionOptions::new().arguments(1);
    conn.create_scalar_function("trimmed", trimmed)?; //~ fails
    conn.create_scalar_function_with("trimmed", options, |call| Ok(call.reply(trimmed(call.get(0)?))))?; //~ passes
    drop((conn, options));
    Ok(())
}
