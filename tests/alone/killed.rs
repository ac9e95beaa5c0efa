//! A process is killed (SIGKILL) in the middle of its writes: the database is whole afterwards, and has all of what was
//! committed and nothing else.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use finalite::data::{Access, Backup, BackupPacing};
use finalite::{Connection, OpenOptions, ZeroBlob};

use crate::runner::{cases, process_of};

cases![
    a_kill_amid_blob_writes_leaves_a_whole_database,
    blob_writer,
    a_kill_amid_a_backup_leaves_the_old_content_or_the_new,
    backup_writer,
    a_torn_value_is_seen,
    a_kill_amid_commits_loses_none,
    a_commit_that_is_told_too_early_is_seen,
    commit_writer,
];

/// Size of the value that is written, of a cache that holds a tenth of it, so that most of it is in the file before it
/// is committed.
const BYTES: usize = 2_000_000;
const PIECE: usize = 50_000;
const PATH: &str = "FINALITE_KILLED";

fn open(path: &Path, mode: &str) -> Connection {
    let options = OpenOptions::new().pragma("journal_mode", mode).pragma("cache_size", -200);
    options.pragma("synchronous", "off").open(path).unwrap()
}

/// Runs a case in another process, and kills that a while after it wrote a line, later each time.
fn kill_amid(case: &str, path: &Path, mode: &str, round: u64) {
    let mut child = process_of(case).env(PATH, path).env("MODE", mode).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    thread::sleep(Duration::from_micros(round * 1_700));
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
}

/// Whether the value is all of one version.
fn is_whole(value: &[u8]) -> bool {
    value.len() == BYTES && value.iter().all(|byte| *byte == value[0])
}

fn a_kill_amid_blob_writes_leaves_a_whole_database() {
    for mode in ["delete", "wal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let conn = open(&path, mode);
        conn.execute_batch("CREATE TABLE t(a)").unwrap();
        conn.execute("INSERT INTO t VALUES (?)", (ZeroBlob(BYTES as u64),)).unwrap();
        drop(conn);
        let mut amid = 0;
        for round in 0..12 {
            kill_amid("killed::blob_writer", &path, mode, round);
            let log = std::fs::metadata(dir.path().join(if mode == "wal" { "a.db-wal" } else { "a.db-journal" }));
            amid += u64::from(log.is_ok_and(|log| log.len() > 0));
            let conn = open(&path, mode);
            assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok", "{mode}, {round}");
            assert!(is_whole(&conn.query_one::<Vec<u8>>("SELECT a FROM t", ()).unwrap()), "{mode}, {round}");
        }
        assert!(amid > 0, "{mode}: no kill hit a transaction");
    }
}

/// Runs in a process of its own: writes one version of the value after the other, in pieces.
fn blob_writer() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let conn = open(Path::new(&path), &std::env::var("MODE").unwrap());
    println!("begun");
    for version in 1..=u8::MAX {
        let mut blob = conn.blob(("t", "a", 1), Access::ReadWrite).unwrap();
        for piece in 0..BYTES / PIECE {
            blob.write_at(&[version; PIECE], (piece * PIECE) as u64).unwrap();
        }
        blob.close().unwrap();
    }
    thread::sleep(Duration::from_secs(60));
}

/// The destination has the content of one of the two sources, in turns, and not of both.
fn a_kill_amid_a_backup_leaves_the_old_content_or_the_new() {
    for mode in ["delete", "wal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy.db");
        for version in [1, 2_u8] {
            let source = open(&dir.path().join(format!("{version}.db")), "delete");
            source.execute_batch("CREATE TABLE t(a)").unwrap();
            source.execute("INSERT INTO t VALUES (?)", (vec![version; BYTES],)).unwrap();
            source.backup_to(&path, |_| {}).unwrap();
        }
        open(&path, mode);
        let (mut amid, mut seen) = (0, [false; 3]);
        for round in 0..16 {
            kill_amid("killed::backup_writer", &path, mode, round);
            let log = std::fs::metadata(dir.path().join(if mode == "wal" { "copy.db-wal" } else { "copy.db-journal" }));
            amid += u64::from(log.is_ok_and(|log| log.len() > 0));
            let conn = open(&path, mode);
            assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok", "{mode}, {round}");
            let value = conn.query_one::<Vec<u8>>("SELECT a FROM t", ()).unwrap();
            assert!(is_whole(&value), "{mode}, {round}");
            seen[usize::from(value[0])] = true;
        }
        assert!(amid > 0, "{mode}: no kill hit a backup");
        assert!(seen[1] || seen[2]);
    }
}

/// Runs in a process of its own: copies one source after the other over the destination.
fn backup_writer() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let path = Path::new(&path);
    let mode = std::env::var("MODE").unwrap();
    let sources = ["1.db", "2.db"].map(|name| open(&path.with_file_name(name), "delete"));
    let mut copy = open(path, &mode);
    println!("begun");
    for source in sources.iter().cycle().take(500) {
        let mut backup = Backup::new(source, copy).unwrap();
        backup.run(BackupPacing::new().pages_per_step(20), |_| {}).unwrap();
        copy = backup.finish().unwrap();
    }
    thread::sleep(Duration::from_secs(60));
}

/// The check above sees a value that is of two versions.
fn a_torn_value_is_seen() {
    let mut value = vec![1; BYTES];
    assert!(is_whole(&value));
    value[BYTES - 1] = 2;
    assert!(!is_whole(&value));
}

/// Kills a writer this often in each mode, and opens the file. Returns the kills, the commits that it told, and what is
/// wrong.
fn kill_amid_commits(rounds: u64, is_early: bool) -> (u64, u64, Vec<String>) {
    let (mut kills, mut told, mut findings) = (0, 0, Vec::new());
    for mode in ["delete", "truncate", "wal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        open(&path, mode).execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE TABLE u(a)").unwrap();
        let mut last = 0;
        for round in 0..rounds {
            let mut child = process_of("killed::commit_writer")
                .env(PATH, &path)
                .env("MODE", mode)
                .env("EARLY", if is_early { "1" } else { "" })
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut next = || lines.next().map(|line| line.unwrap().parse::<u64>().unwrap());
            let first = next().unwrap();
            thread::sleep(Duration::from_micros(200 + round * 977 % 9_000));
            child.kill().unwrap();
            assert!(!child.wait().unwrap().success());
            kills += 1;
            // What the pipe still has was told, too.
            let acknowledged = std::iter::from_fn(&mut next).last().unwrap_or(first);
            told += acknowledged - last;
            let conn = open(&path, mode);
            let check = conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap();
            let sql = "SELECT ifnull(max(a), 0), count(*), (SELECT count(*) FROM u) FROM t";
            let (newest, rows, others) = conn.query_one::<(u64, u64, u64)>(sql, ()).unwrap();
            if check != "ok"
                || rows != newest
                || others != newest
                || !(acknowledged..=acknowledged + 1).contains(&newest)
            {
                let found = format!("{check}, {newest}, {rows}, {others}");
                findings.push(format!("{mode}, kill {round}: {acknowledged} were told, and there is {found}"));
            }
            last = newest;
        }
    }
    (kills, told, findings)
}

/// `FINALITE_KILLS`: how often in each mode.
fn a_kill_amid_commits_loses_none() {
    let rounds = std::env::var("FINALITE_KILLS").map_or(12, |rounds| rounds.parse().unwrap());
    let (kills, told, findings) = kill_amid_commits(rounds, false);
    println!("{kills} kills, {told} commits, {} findings", findings.len());
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(told > kills, "{told} commits in {kills} rounds");
}

/// The control: one that tells of a transaction before it commits.
fn a_commit_that_is_told_too_early_is_seen() {
    let mut seen = 0;
    for _ in 0..20 {
        seen += kill_amid_commits(12, true).2.len();
        if seen > 0 {
            return;
        }
    }
    panic!("no kill came between the word and the commit");
}

/// Runs in a process of its own: adds rows to two tables, and tells the number of each transaction.
fn commit_writer() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let is_early = !std::env::var("EARLY").unwrap().is_empty();
    let mut conn = open(Path::new(&path), &std::env::var("MODE").unwrap());
    for n in conn.query_one::<i64>("SELECT ifnull(max(a), 0) + 1 FROM t", ()).unwrap().. {
        let tx = conn.transaction().unwrap();
        tx.execute("INSERT INTO t VALUES (?, randomblob(3000))", (n,)).unwrap();
        if is_early {
            println!("{n}");
        }
        tx.execute("INSERT INTO u VALUES (?)", (n,)).unwrap();
        tx.commit().unwrap();
        if !is_early {
            println!("{n}");
        }
    }
}
