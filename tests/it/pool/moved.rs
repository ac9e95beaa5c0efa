//! A database file that is moved, replaced or deleted while a pool has it open.

use super::*;

/// Puts a database of 7 rows in the place of the pool's.
fn replace(db: &Database) {
    let other = db.path.with_extension("new");
    let conn = Connection::open(&other).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
         INSERT INTO t(b) VALUES ('n'), ('n'), ('n'), ('n'), ('n'), ('n'), ('n');",
    )
    .unwrap();
    conn.close().unwrap();
    std::fs::rename(&other, &db.path).unwrap();
    for beside in ["db-wal", "db-shm"] {
        let _ = std::fs::remove_file(db.path.with_extension(beside));
    }
}

#[test]
fn what_is_lent_reads_the_file_that_is_there() -> Outcome {
    let db = Database::new();
    let pool = Arc::new(db.pool().readers(2).check_moved_every(Duration::ZERO).build()?);
    let never = db.pool().readers(1).check_moved_every(Duration::MAX).build()?;
    for pool in [&*pool, &never] {
        let readers = [pool.reader()?, pool.try_reader()?.map_or_else(|| pool.writer(), Ok)?];
        assert!(readers.iter().all(|reader| rows(reader) == 0));
    }
    replace(&db);
    assert_eq!(rows(&*never.reader()?), 0, "the control: it reads what is nowhere any more");
    assert_eq!((rows(&*pool.reader()?), rows(&*pool.writer()?)), (7, 7));
    assert_eq!(pool.status().destroyed(DestroyReason::Moved), 2, "a reader and the writer");
    assert_eq!(
        thread::spawn({
            let pool = Arc::clone(&pool);
            move || rows(&pool.reader_owned().unwrap())
        })
        .join()
        .unwrap(),
        7
    );
    pool.write(|tx| tx.execute("INSERT INTO t(b) VALUES ('x')", ()))?;
    assert_eq!(rows(&Connection::open(&db.path)?), 8, "it is in the file that the path leads to");
    assert_eq!(never.status().destroyed(DestroyReason::Moved), 0);
    Ok(())
}

#[test]
fn what_comes_back_is_not_lent_again() -> Outcome {
    let db = Database::new();
    let pool = Arc::new(db.pool().readers(1).check_moved_every(Duration::ZERO).build()?);
    let (reader, owned) = (pool.reader()?, pool.writer_owned()?);
    assert_eq!((rows(&reader), rows(&owned)), (0, 0));
    replace(&db);
    drop(reader);
    drop(owned);
    assert_eq!(pool.status().destroyed(DestroyReason::Moved), 2);
    assert_eq!((rows(&*pool.reader()?), rows(&*pool.writer()?)), (7, 7));
    assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 2);
    Ok(())
}

/// Unless the builder says otherwise, once in a second.
#[test]
fn it_is_found_out_by_itself() -> Outcome {
    let db = Database::new();
    let pool = db.pool().readers(1).build()?;
    assert_eq!(rows(&*pool.reader()?), 0);
    replace(&db);
    while rows(&*pool.reader()?) == 0 {
        thread::sleep(SHORT);
    }
    assert_eq!(pool.status().destroyed(DestroyReason::Moved), 1);
    Ok(())
}

#[test]
fn a_file_that_is_gone_is_not_made_anew() -> Outcome {
    let db = Database::new();
    let pool = db.pool().reserved(1).check_moved_every(Duration::ZERO).build()?;
    assert_eq!((rows(&*pool.reader()?), rows(&*pool.writer()?)), (0, 0));
    let moved = db.path.with_extension("moved");
    std::fs::rename(&db.path, &moved)?;
    for refused in [pool.reader().map(drop), pool.writer().map(drop), pool.reserve().map(drop)] {
        let error = refused.unwrap_err();
        let ErrorKind::OpenAttempts { attempts, .. } = error.kind() else { panic!("{error}") };
        assert_eq!(attempts[0].code_name(), Some("SQLITE_CANTOPEN"), "{error}");
    }
    assert!(!db.path.exists());
    std::fs::rename(&moved, &db.path)?;
    assert_eq!((rows(&*pool.reader()?), rows(&*pool.writer()?)), (0, 0), "and goes on when it is back");
    Ok(())
}

#[test]
fn a_database_in_memory_does_not_move() -> Outcome {
    let pool = Pool::in_memory("moved").check_moved_every(Duration::ZERO).build()?;
    for _ in 0..3 {
        drop((pool.reader()?, pool.writer()?));
    }
    assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
    Ok(())
}
