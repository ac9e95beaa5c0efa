//! error[E0597]: options are kept and used on any thread, with what they run
use finalite::{OpenOptions, Result};

fn main() -> Result<()> {
    let script = String::from("CREATE TEMP TABLE t(a)");
    let script = &*script; //~ fails
    let script = script.clone(); //~ passes
    let options = OpenOptions::new().init(move |conn| conn.execute_batch(&script));
    options.open_in_memory()?;
    Ok(())
}
