//! SQL that calls Rust: `REGEXP`, a collation for every alphabet, an aggregate and a window function.
//!
//! ```text
//! cargo run --example functions
//! ```

mod events;

use std::error::Error;

use finalite::extend::{FunctionOptions, aggregate, deterministic, window};
use finalite::{Connection, Result};
use regex_lite::Regex;
use unicase::UniCase;

/// Registers what the queries of this program call. A pool does this in `PoolBuilder::init`, on each connection.
fn register(conn: &Connection) -> Result<()> {
    // `text REGEXP pattern` calls `regexp(pattern, text)`. The compiled pattern lives from row to row.
    conn.create_scalar_function_with("regexp", FunctionOptions::new().arguments(2).deterministic(), |call| {
        let pattern = call.auxiliary(0, || Ok(Regex::new(call.get(0)?)?))?;
        Ok(call.get::<Option<&str>>(1)?.map(|text| pattern.is_match(text)))
    })?;
    // SQLite's NOCASE folds ASCII alone.
    conn.create_collation("unicode_nocase", |a: &str, b: &str| UniCase::unicode(a).cmp(&UniCase::unicode(b)))?;
    conn.create_scalar_function(
        "initials",
        deterministic(|name: &str| -> String {
            name.split_whitespace().filter_map(|word| word.chars().next()).collect()
        }),
    )?;
    let geometric_mean = aggregate(
        || (0.0, 0.0),
        |(sum, count): &mut (f64, f64), x: f64| {
            *sum += x.ln();
            *count += 1.0;
        },
        |(sum, count): (f64, f64)| (count > 0.0).then(|| (sum / count).exp()),
    );
    conn.create_aggregate_function("geometric_mean", geometric_mean)?;
    let range = window(
        Vec::new,
        |values: &mut Vec<i64>, value: i64| values.push(value),
        |values: &mut Vec<i64>, _: i64| {
            values.remove(0);
        },
        |values: &Vec<i64>| Some(values.iter().max()? - values.iter().min()?),
    );
    conn.create_window_function("spread", range)?;
    conn.create_math_functions()?;
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    events::warn_on_stderr();
    let conn = Connection::open_in_memory()?;
    register(&conn)?;
    conn.execute_batch(
        "CREATE TABLE runner(name TEXT COLLATE unicode_nocase, seconds INTEGER);
         INSERT INTO runner VALUES ('Åsa Öberg', 61), ('åke ek', 59), ('Bo Ek', 64), ('ZOË Day', 58);",
    )?;
    let names: Vec<String> = conn.query_all("SELECT name FROM runner ORDER BY name", ())?;
    println!("by name        {}", names.join(", "));
    let names: Vec<String> = conn.query_all("SELECT initials(name) FROM runner WHERE name REGEXP '(?i)\\bek$'", ())?;
    println!("named Ek       {}", names.join(", "));
    let exists = conn.exists("SELECT 1 FROM runner WHERE name = 'zoë day'", ())?;
    println!("zoë day runs   {exists}");
    let (mean, root): (f64, f64) =
        conn.query_one("SELECT geometric_mean(seconds), sqrt(max(seconds)) FROM runner", ())?;
    println!("mean           {mean:.3}");
    println!("root of max    {root}");
    let spreads = "SELECT spread(seconds) OVER (ORDER BY rowid ROWS 1 PRECEDING) FROM runner";
    println!("spread         {:?}", conn.query_all::<i64>(spreads, ())?);
    let error = conn.query_one::<bool>("SELECT 'text' REGEXP '['", ()).err().ok_or("an invalid pattern is an error")?;
    println!("error          {}", error.to_string().split(", in:").next().unwrap_or_default());
    conn.close()?;
    Ok(())
}
