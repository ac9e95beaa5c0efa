//! CSV files in and out of a table, with the types that the table declares.
//!
//! ```text
//! cargo run --release --example csv -- [ROWS]                    so many rows (300,000) in and out of a temporary table
//! cargo run --release --example csv -- import FILE.csv DB TABLE
//! cargo run --release --example csv -- export DB TABLE FILE.csv
//! ```

mod events;
mod progress;

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::time::Instant;

use csv::StringRecord;
use finalite::schema::{Affinity, Column};
use finalite::sql::quote_identifier;
use finalite::{Connection, OpenOptions, Params, Value, ValueRef, params_from_iter};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    events::warn_on_stderr();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["import", file, database, table] => {
            let mut conn = Connection::open(database)?;
            let rows = import(&mut conn, table, File::open(file)?)?;
            println!("{rows} rows imported");
            conn.close()?;
        }
        ["export", database, table, file] => {
            let conn = OpenOptions::new().read_only(true).open(database)?;
            println!("{} rows exported", export(&conn, table, File::create(file)?)?);
            conn.close()?;
        }
        [] => there_and_back(300_000)?,
        [rows] => there_and_back(rows.parse()?)?,
        _ => return Err("there is `import FILE.csv DB TABLE` and `export DB TABLE FILE.csv`".into()),
    }
    Ok(())
}

/// Inserts the rows of a CSV file whose first line names columns of the table: all of them, or none.
fn import(conn: &mut Connection, table: &str, mut file: impl Read + Seek) -> Result<u64> {
    let bytes = file.seek(io::SeekFrom::End(0))?;
    file.rewind()?;
    let mut reader = csv::Reader::from_reader(file);
    let description = conn.schema().table(table)?.ok_or_else(|| format!("there is no table {table}"))?;
    let names = reader.headers()?.clone();
    let column = |name| description.column(name).ok_or_else(|| format!("{table} has no column {name}"));
    let columns = names.iter().map(column).collect::<std::result::Result<Vec<_>, _>>()?;
    let list = |text: &dyn Fn(&str) -> String| names.iter().map(text).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({})",
        quote_identifier(table),
        list(&|name| quote_identifier(name).to_string()),
        list(&|_| "?".to_owned())
    );
    let tx = conn.transaction()?;
    let mut insert = tx.prepare(&sql)?;
    let (mut record, mut rows) = (StringRecord::new(), 0);
    while reader.read_record(&mut record)? {
        insert.execute(values(&columns, &record)?).map_err(|error| at(&record, &error.to_string()))?;
        rows += 1;
        if rows % 10_000 == 1 {
            progress::show("in ", reader.position().byte() / 1000, bytes / 1000, "kB");
        }
    }
    progress::show("in ", bytes / 1000, bytes / 1000, "kB");
    tx.commit()?;
    Ok(rows)
}

/// Returns the fields of a line as values of the columns' types.
fn values<'p>(columns: &[&Column], record: &'p StringRecord) -> Result<impl Params<'p> + use<'p>> {
    let values = columns.iter().zip(record).map(|(column, field)| {
        value(column, field).ok_or_else(|| {
            let declared = column.declared_type.as_deref().unwrap_or("value");
            at(record, &format!("column {}: no {declared}", column.name))
        })
    });
    Ok(params_from_iter(values.collect::<Result<Vec<Value>>>()?))
}

fn at(record: &StringRecord, problem: &str) -> Box<dyn Error> {
    format!("line {}: {problem}", record.position().map_or(0, csv::Position::line)).into()
}

/// Returns a field as a value of the column's type; `None` if it is none. An empty field is NULL, where that is allowed.
fn value(column: &Column, field: &str) -> Option<Value> {
    if field.is_empty() && !column.is_not_null {
        return Some(Value::Null);
    }
    match column.affinity {
        Affinity::Integer => field.parse().ok().map(Value::Integer),
        Affinity::Real => field.parse().ok().map(Value::Real),
        Affinity::Numeric => match field.parse() {
            Ok(integer) => Some(Value::Integer(integer)),
            Err(_) => field.parse().ok().map(Value::Real),
        },
        Affinity::Blob => bytes(field).map(Value::Blob),
        _ => Some(Value::Text(field.to_owned())),
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
    hex.as_bytes().chunks(2).map(pair).collect()
}

/// Writes all rows of a table, with a line of names. Returns the number of rows.
fn export(conn: &Connection, table: &str, file: impl Write) -> Result<u64> {
    let mut writer = csv::Writer::from_writer(file);
    let total: u64 = conn.query_one(&format!("SELECT count(*) FROM {}", quote_identifier(table)), ())?;
    let mut statement = conn.prepare(&format!("SELECT * FROM {}", quote_identifier(table)))?;
    writer.write_record(statement.column_names()?)?;
    let mut rows = statement.query(())?;
    let (mut text, mut done) = (String::new(), 0);
    while let Some(row) = rows.next()? {
        for column in 0..row.column_count() {
            text.clear();
            let field = match row.value(column)? {
                ValueRef::Null => &b""[..],
                ValueRef::Text(text) => text,
                value => {
                    write_to(&mut text, value);
                    text.as_bytes()
                }
            };
            writer.write_field(field)?;
        }
        writer.write_record(None::<&[u8]>)?;
        done += 1;
        if done % 10_000 == 1 {
            progress::show("out", done, total, "rows");
        }
    }
    progress::show("out", total, total, "rows");
    writer.flush()?;
    Ok(done)
}

/// Appends a number, or bytes in hexadecimal digits.
fn write_to(text: &mut String, value: ValueRef<'_>) {
    use std::fmt::Write;
    let _ = match value {
        ValueRef::Integer(value) => write!(text, "{value}"),
        ValueRef::Real(value) => write!(text, "{value:?}"),
        ValueRef::Blob(bytes) => bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}")),
        _ => Ok(()),
    };
}

/// Imports a file of this many rows, exports the table, imports that into a second table, and compares the two.
fn there_and_back(rows: u64) -> Result<()> {
    const TABLE: &str = "(id INTEGER PRIMARY KEY, name TEXT NOT NULL, born TEXT, height REAL, picture BLOB)";
    let mut conn = OpenOptions::new().open_temporary()?;
    conn.execute_batch(&format!("CREATE TABLE people {TABLE}; CREATE TABLE copy {TABLE}"))?;

    let mut file = tempfile::tempfile()?;
    let mut writer = csv::Writer::from_writer(&file);
    writer.write_record(["id", "name", "born", "height", "picture"])?;
    for id in 0..rows {
        let born = if id % 7 == 0 { String::new() } else { format!("19{:02}-01-{:02}", id % 100, id % 28 + 1) };
        let name = format!("Person \"{id}\", the {}th", id % 90);
        writer.write_record([&id.to_string(), &name, &born, &format!("1.{}", id % 1000), &format!("{id:08x}")])?;
    }
    writer.flush()?;
    drop(writer);

    let start = Instant::now();
    import(&mut conn, "people", &mut file)?;
    let imported = start.elapsed();
    let mut exported = tempfile::tempfile()?;
    let start = Instant::now();
    export(&conn, "people", &mut exported)?;
    println!("{rows} rows: in {} ms, out {} ms", imported.as_millis(), start.elapsed().as_millis());

    import(&mut conn, "copy", &mut exported)?;
    assert!(!conn.exists("SELECT * FROM people EXCEPT SELECT * FROM copy", ())?, "the copy is the same");
    let count = |table| conn.query_one::<u64>(&format!("SELECT count(*) FROM {table}"), ());
    assert_eq!((count("people")?, count("copy")?), (rows, rows));
    print!("{}", conn.query_table("SELECT * FROM people LIMIT 3", ())?);
    conn.close()?;
    Ok(())
}
