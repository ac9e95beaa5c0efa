//! A to-do list in a file: a first look at finalite.
//!
//! ```text
//! cargo run --example todo -- add Buy milk --due tomorrow
//! cargo run --example todo -- list
//! ```

mod events;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use finalite::data::{Migration, Migrations};
use finalite::{Connection, FromRow, FromSql, OpenOptions, Params, ToSql, TransactionBehavior, named_params};
use jiff::civil::Date;

const HELP: &str = "\
Usage: todo [--file FILE] COMMAND

  add TEXT... [--due DATE] [--priority high|low]   add a task
  list         show all tasks, those to do first
  due [DATE]   show what is to be done until then; until today unless given
  done ID...   mark tasks as done

DATE is YYYY-MM-DD, today or tomorrow; FILE is todo.db unless given.
";

/// The versions of the table. A new one is added at the end; one that was released is never changed.
static MIGRATIONS: Migrations = Migrations::from_slice(&[
    Migration::new("tasks", "CREATE TABLE task(id INTEGER PRIMARY KEY, title TEXT NOT NULL, done TEXT) STRICT"),
    Migration::new("dates", "ALTER TABLE task ADD COLUMN due TEXT"),
    Migration::new("priorities", "ALTER TABLE task ADD COLUMN priority INTEGER NOT NULL DEFAULT 2"),
]);

/// A row of the table. Each field is the column of its name.
#[derive(FromRow, Params)]
struct Task {
    id: Option<i64>, // none in a new task: SQLite numbers it
    title: String,
    done: Option<SystemTime>, // a text that SQLite's date functions read, as `due` is
    due: Option<Date>,
    priority: Priority,
}

/// An INTEGER, by which SQLite sorts; without `repr` it would be a text.
#[derive(FromSql, ToSql)]
#[repr(u8)]
enum Priority {
    High = 1,
    Normal = 2,
    Low = 3,
}

fn main() -> ExitCode {
    events::warn_on_stderr();
    if let Err(error) = run() {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run() -> Result<(), Box<dyn Error>> {
    let words = std::env::args_os().skip(1).map(|word| word.into_string());
    let mut words: Vec<String> = words.collect::<Result<_, _>>().map_err(|word| format!("not UTF-8: {word:?}"))?;
    let file = option(&mut words, "--file")?.unwrap_or_else(|| "todo.db".to_owned());
    let due = option(&mut words, "--due")?;
    let priority = match option(&mut words, "--priority")?.as_deref() {
        Some("high") => Priority::High,
        None => Priority::Normal,
        Some("low") => Priority::Low,
        Some(_) => return Err("a priority is high or low".into()),
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut out = io::stdout().lock(); // unlike `println!`, this is no panic when nobody reads any more
    if let [] | ["help", ..] = words[..] {
        return Ok(out.write_all(HELP.as_bytes())?);
    }

    // Only what adds a task makes a new list; elsewhere a file that is not there is a mistake.
    let mut conn = OpenOptions::recommended().create(words[0] == "add").open(file)?;
    if MIGRATIONS.pending(&conn)?.len() == MIGRATIONS.len() && conn.exists("SELECT 1 FROM sqlite_schema", ())? {
        return Err("the file is a database, but no to-do list".into());
    }
    // Of two programs that start at once, one brings the table up to date, and the other waits for it.
    MIGRATIONS.migrate(&conn)?;

    match words[..] {
        ["add", _, ..] => {
            let due = due.map(|date| parse_date(&conn, &date)).transpose()?;
            let task = Task { id: None, title: words[1..].join(" "), done: None, due, priority };
            conn.insert_into("task", &task)?;
            writeln!(out, "added as number {}", conn.last_insert_rowid())?;
        }
        ["list"] => show(&mut out, &conn, None)?,
        ["due"] => show(&mut out, &conn, Some(parse_date(&conn, "today")?))?,
        ["due", until] => show(&mut out, &conn, Some(parse_date(&conn, until)?))?,
        ["done", ref ids @ ..] => finish(&mut conn, ids)?,
        _ => return Err(format!("`{}` is no command: see `todo help`", words.join(" ")).into()),
    }
    // Dropping the connection closes it too; this way a failure is heard of.
    Ok(conn.close()?)
}

/// Shows all tasks, or those that are to be done until a day.
fn show(out: &mut impl Write, conn: &Connection, until: Option<Date>) -> Result<(), Box<dyn Error>> {
    let sql = "SELECT * FROM task WHERE :until IS NULL OR (done IS NULL AND due <= :until)
               ORDER BY done IS NOT NULL, due NULLS LAST, priority, id";
    for task in conn.query_as::<Task>(sql, named_params! { ":until": until })? {
        let Task { id, title, done, due, priority } = task?;
        let mark = match (done, priority) {
            (Some(_), _) => 'x',
            (None, Priority::High) => '!',
            (None, Priority::Normal) => ' ',
            (None, Priority::Low) => '-',
        };
        let due = due.map_or_else(String::new, |due| format!(" (due {due})"));
        writeln!(out, "{:4} [{mark}] {title}{due}", id.unwrap_or_default())?;
    }
    Ok(())
}

/// Marks all of the tasks as done, or, if one is not there, none.
fn finish(conn: &mut Connection, ids: &[&str]) -> Result<(), Box<dyn Error>> {
    let tx = conn.transaction_with(TransactionBehavior::Immediate)?;
    for id in ids {
        let found: Option<Task> = tx.query_optional("SELECT * FROM task WHERE id = ?", (*id,))?;
        let task = found.ok_or_else(|| format!("there is no task {id}: nothing was changed"))?;
        tx.upsert("task", &["id"], &Task { done: Some(SystemTime::now()), ..task })?;
    }
    // Without this line everything since `transaction_with` would be undone.
    Ok(tx.commit()?)
}

fn parse_date(conn: &Connection, text: &str) -> Result<Date, Box<dyn Error>> {
    let today = || conn.query_one::<Date>("SELECT date('now', 'localtime')", ());
    Ok(match text {
        "today" => today()?,
        "tomorrow" => today()?.tomorrow()?,
        date => date.parse().map_err(|_| format!("{date} is not YYYY-MM-DD, today or tomorrow"))?,
    })
}

/// Takes `name VALUE` out of the arguments.
fn option(words: &mut Vec<String>, name: &str) -> Result<Option<String>, String> {
    let Some(at) = words.iter().position(|word| word == name) else { return Ok(None) };
    words.drain(at..words.len().min(at + 2)).nth(1).map(Some).ok_or_else(|| format!("{name} needs a value"))
}
