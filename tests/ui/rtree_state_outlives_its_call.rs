//! error[E0521]: the state of a query is dropped when it ends
use std::sync::Mutex;

use finalite::extend::{RtreeMatch, Within};
use finalite::{Connection, Result};

static KEPT: Mutex<Vec<&'static String>> = Mutex::new(Vec::new());

fn main() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.create_rtree_query("keep", |query| {
        let state = query.state(|| Ok(String::from("state")))?;
        KEPT.lock().unwrap().push(state); //~ fails
        drop(state.clone()); //~ passes
        Ok(RtreeMatch::new(Within::Partly, 0.0))
    })?;
    Ok(())
}
