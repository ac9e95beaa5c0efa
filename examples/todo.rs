//! A to-do list in a file: a first look at finalite.
//!
//! ```text
//! cargo run --example todo -- add Buy milk
//! cargo run --example todo -- list
//! cargo run --example todo -- done 1
//! ```

mod events;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use finalite::{Connection, FromRow, OpenOptions, TransactionBehavior};

const HELP: &str = "\
Usage: todo [--file FILE] COMMAND

  add TEXT...    add a task
  list           show the tasks, those to do first
  done ID...     mark tasks as done
  remove ID...   remove tasks
  import         add a task for each line of standard input: all of them, or none
  help           print this

FILE is todo.db unless given. Exit code: 0; 1 if the command failed; 2 if there is no such command.
";

enum Command {
    Add(String),
    List,
    Done(Vec<i64>),
    Remove(Vec<i64>),
    Import,
    Help,
}

fn main() -> ExitCode {
    events::warn_on_stderr();
    let (file, command) = match arguments(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("error: {problem}; `todo help` prints what there is");
            return ExitCode::from(2);
        }
    };
    match run(file, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(given: impl Iterator<Item = OsString>) -> Result<(PathBuf, Command), String> {
    let mut given = given.peekable();
    let mut file = PathBuf::from("todo.db");
    if given.next_if(|word| word == "--file").is_some() {
        file = given.next().ok_or("--file needs a path")?.into();
    }
    let mut words = Vec::new();
    for word in given {
        words.push(word.into_string().map_err(|word| format!("{} is not UTF-8", word.display()))?);
    }
    let (name, rest) = words.split_first().ok_or("there is no command")?;
    let command = match (name.as_str(), rest) {
        ("add", _) => match rest.join(" ").trim() {
            "" => return Err("add needs a text".to_owned()),
            title => Command::Add(title.to_owned()),
        },
        ("done", _) => Command::Done(ids(name, rest)?),
        ("remove", _) => Command::Remove(ids(name, rest)?),
        ("list", []) => Command::List,
        ("import", []) => Command::Import,
        ("list" | "import", [word, ..]) => return Err(format!("{name} takes no {word}")),
        ("help" | "--help" | "-h", _) => Command::Help,
        _ => return Err(format!("there is no command {name}")),
    };
    Ok((file, command))
}

fn ids(command: &str, words: &[String]) -> Result<Vec<i64>, String> {
    if words.is_empty() {
        return Err(format!("{command} needs the number of a task"));
    }
    words.iter().map(|word| word.parse().map_err(|_| format!("{word} is not the number of a task"))).collect()
}

/// One line of the list.
#[derive(FromRow)]
struct Task {
    id: i64,
    title: String,
    done: bool,
}

fn run(file: PathBuf, command: Command) -> Result<(), Box<dyn Error>> {
    // Unlike `println!`, this is no panic when nobody reads any more.
    let mut out = io::stdout().lock();
    if let Command::Help = command {
        return Ok(out.write_all(HELP.as_bytes())?);
    }

    // Only what adds a task makes a new list; elsewhere a file that is not there is a mistake.
    let creates = matches!(command, Command::Add(_) | Command::Import);
    let mut conn = OpenOptions::recommended().create(creates).open(file)?;
    set_up(&mut conn)?;

    match command {
        Command::Add(title) => {
            let id: i64 = conn.query_one("INSERT INTO tasks(title) VALUES (?) RETURNING id", (&title,))?;
            writeln!(out, "{id:4} [ ] {title}")?;
        }
        Command::List => {
            let mut statement = conn.prepare("SELECT id, title, done FROM tasks ORDER BY done, id")?;
            let mut count = 0;
            for task in statement.query_as::<Task>(())? {
                let Task { id, title, done } = task?;
                writeln!(out, "{id:4} [{}] {title}", if done { 'x' } else { ' ' })?;
                count += 1;
            }
            if count == 0 {
                writeln!(out, "nothing to do")?;
            }
        }
        Command::Done(ids) => each(&mut conn, "UPDATE tasks SET done = 1 WHERE id = ?", &ids)?,
        Command::Remove(ids) => each(&mut conn, "DELETE FROM tasks WHERE id = ?", &ids)?,
        Command::Import => {
            let count = import(&mut conn, io::stdin().lock())?;
            writeln!(out, "{count} tasks imported")?;
        }
        Command::Help => {}
    }

    // Dropping the connection closes it too; this way a failure is heard of.
    conn.close()?;
    Ok(())
}

/// Makes the table in a new file. `user_version` is SQLite's place for the version of a program's tables.
fn set_up(conn: &mut Connection) -> Result<(), Box<dyn Error>> {
    const VERSION: i64 = 1;
    if conn.pragma::<i64>("user_version")? == VERSION {
        return Ok(());
    }
    // Of two programs that start at once, one holds the lock and makes the table; the other waits, and finds it.
    let tx = conn.transaction_with(TransactionBehavior::Immediate)?;
    match tx.pragma::<i64>("user_version")? {
        VERSION => {}
        0 if tx.query_one::<i64>("SELECT count(*) FROM sqlite_schema", ())? == 0 => {
            tx.execute_batch(
                "CREATE TABLE tasks(
                   id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
                   title TEXT NOT NULL,
                   done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1))
                 ) STRICT",
            )?;
            tx.set_pragma("user_version", VERSION)?;
        }
        0 => return Err("the file is a database, but no to-do list".into()),
        version => return Err(format!("the list was made by a newer program (version {version})").into()),
    }
    // Without this line everything since `transaction_with` would be undone.
    tx.commit()?;
    Ok(())
}

/// Runs the SQL for each task: for all of them, or, if one is not there, for none.
fn each(conn: &mut Connection, sql: &str, ids: &[i64]) -> Result<(), Box<dyn Error>> {
    let tx = conn.transaction()?;
    for id in ids {
        if tx.execute(sql, (id,))? == 0 {
            return Err(format!("there is no task {id}: nothing was changed").into());
        }
    }
    tx.commit()?;
    Ok(())
}

/// One task for each line that is not blank, in one transaction through one prepared statement.
fn import(conn: &mut Connection, lines: impl BufRead) -> Result<usize, Box<dyn Error>> {
    let tx = conn.transaction()?;
    let mut insert = tx.prepare("INSERT INTO tasks(title) VALUES (?)")?;
    let mut count = 0;
    for (number, line) in lines.lines().enumerate() {
        let line = line.map_err(|error| format!("line {}: {error}: nothing was imported", number + 1))?;
        let title = line.trim();
        if !title.is_empty() {
            count += insert.execute((title,))?;
        }
    }
    tx.commit()?;
    Ok(count)
}
