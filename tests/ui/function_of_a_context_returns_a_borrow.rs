//! error[-]: a result outlives the call, its arguments do not
use finalite::extend::FunctionOptions;
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.create_scalar_function_with("trimmed", FunctionOptions::new().arguments(1), |call| {
        let text: &str = call.get(0)?;
        Ok(text.trim()) //~ fails
        Ok(call.reply(text.trim())) //~ passes
    })?;
    Ok(())
}
