//! Writes small sound databases into a directory, for the fuzzer to damage: `seeds DIRECTORY`.

use finalite::{OpenOptions, ffi};

/// Bytes at the end of each page that are left alone: what SQLite reads beyond a damaged cell is then in the file.
const RESERVE: i32 = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::path::PathBuf::from(std::env::args_os().nth(1).ok_or("usage: seeds DIRECTORY")?);
    std::fs::create_dir_all(&directory)?;
    let schemas = [
        "CREATE TABLE t(a); INSERT INTO t VALUES (1), (NULL), ('text'), (x'00ff'), (1.5), (-1), (0), (9223372036854775807)",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a REAL, b TEXT, c BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120)
         INSERT INTO t SELECT i * 7, i / 2.0, 'row ' || i, zeroblob(i * i % 900) FROM n",
        "CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 2), (3, 4); ALTER TABLE t ADD COLUMN c DEFAULT 'later';
         INSERT INTO t VALUES (5, 6, 7); DELETE FROM t WHERE a = 3",
        "CREATE TABLE t(a BLOB, b TEXT, c); INSERT INTO t VALUES (zeroblob(3000), printf('%04000d', 1), 1), (2, 3, 4)",
        "CREATE TABLE t(a, b REAL, c TEXT, PRIMARY KEY(c DESC, a)) WITHOUT ROWID;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90)
         INSERT INTO t SELECT i * 7, i / 2.0, iif(i % 9, 'row ' || i, printf('%0700d', i)) FROM n;
         ALTER TABLE t ADD COLUMN d DEFAULT 'later'",
        "CREATE TABLE t(a, b TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90)
         INSERT INTO t SELECT i * 7, iif(i % 9, 'row ' || i, printf('%0700d', i)) FROM n;
         CREATE INDEX t_b ON t(b DESC, a)",
    ];
    for (number, schema) in schemas.iter().enumerate() {
        for (page_bytes, encoding) in [(512, "UTF-8"), (1024, "UTF-16le"), (4096, "UTF-16be")] {
            let path = directory.join(format!("{number}-{page_bytes}.db"));
            let _ = std::fs::remove_file(&path);
            let options = OpenOptions::new().pragma("page_size", page_bytes).pragma("encoding", encoding);
            let conn = options.pragma("auto_vacuum", if number == 3 { "full" } else { "none" }).open(&path)?;
            let mut reserve = RESERVE;
            let operation = ffi::SQLITE_FCNTL_RESERVE_BYTES;
            // SAFETY: the connection is open; the control takes a pointer to an int, and writes the number of before to it.
            unsafe {
                ffi::sqlite3_file_control(conn.as_raw(), c"main".as_ptr(), operation, (&raw mut reserve).cast());
            }
            conn.execute_batch(schema)?;
            conn.close()?;
        }
    }
    Ok(())
}
