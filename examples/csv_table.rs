//! SQL over CSV files: each becomes a table of the name of the file, and nothing is copied into a database.
//!
//! ```text
//! cargo run --release --features csv --example csv_table                                  a file that is made for it
//! cargo run --release --features csv --example csv_table -- "SELECT count(*) FROM sales" sales.csv ..
//! ```

mod events;

use std::error::Error;
use std::path::{Path, PathBuf};

use finalite::extend::virtual_table::Csv;
use finalite::sql::{quote_identifier, quote_literal};
use finalite::{Connection, ValueRef};

fn main() -> Result<(), Box<dyn Error>> {
    events::warn_on_stderr();
    let mut arguments = std::env::args().skip(1);
    let Some(sql) = arguments.next() else {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("cities.csv");
        std::fs::write(&path, "name,country,people\nOslo,NO,717710\nBergen,NO,291940\n\"Ys, the lost\",FR,\n")?;
        let sql = "SELECT country, count(*) AS cities, sum(people) AS people FROM cities GROUP BY country";
        return answer(sql, &[path]);
    };
    answer(&sql, &arguments.map(PathBuf::from).collect::<Vec<_>>())
}

/// Prints the result of a query over these files.
fn answer(sql: &str, paths: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let conn = Connection::open_in_memory()?;
    conn.create_module::<Csv>("csv", ())?;
    for path in paths {
        let file = quote_literal(ValueRef::Text(path.to_str().ok_or("a path is not UTF-8")?.as_bytes()));
        let name = quote_identifier(&name_of(path));
        conn.execute(&format!("CREATE VIRTUAL TABLE temp.{name} USING csv(filename = {file}, header = yes)"), ())?;
    }
    print!("{}", conn.query_table(sql, ())?);
    Ok(())
}

/// Returns the name of a file without its ending.
fn name_of(path: &Path) -> String {
    path.file_stem().map_or_else(|| "t".to_owned(), |stem| stem.to_string_lossy().into_owned())
}
