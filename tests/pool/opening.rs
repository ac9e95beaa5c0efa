//! What the pool's connections are opened as.

use super::*;
#[cfg(target_os = "linux")]
use crate::system::{EACCES, EMFILE, with_failing_opens};

fn attempts(error: &Error) -> &[Error] {
    let ErrorKind::OpenAttempts { attempts, .. } = error.kind() else { panic!("{error}") };
    attempts
}

/// SQLite opens for reading what it cannot open for writing, and a connection stays what it was opened as.
#[cfg(target_os = "linux")]
#[test]
fn a_writer_that_could_only_read_is_not_lent() -> Outcome {
    for errno in [EMFILE, EACCES] {
        let db = Database::new();
        let control = with_failing_opens(errno, || Connection::open(&db.path))?;
        assert_eq!(control.is_readonly("main"), Some(true), "the control");
        drop(control);

        let retry = RetryPolicy::new(LONG).attempts(3).pauses_between(Duration::ZERO, Duration::ZERO);
        let error = with_failing_opens(errno, || db.pool().open_retry(retry).build()).unwrap_err();
        assert_eq!(attempts(&error).len(), 3);
        assert!(attempts(&error).iter().all(|one| matches!(one.kind(), ErrorKind::OpenedReadOnly)));
        assert!(error.to_string().contains("pool.db"), "{error}");
        assert!(db.is_closed(), "and is closed");

        // One that was lent, and is opened anew when files are few.
        let pool = db.pool().reserved(1).build()?;
        panics(|| {
            let _writer = pool.writer().unwrap();
            resume_unwind(Box::new("with the writer"));
        });
        with_failing_opens(errno, || {
            for refused in [pool.writer().map(drop), pool.write(|_| Ok(())), pool.reserve().map(drop)] {
                assert!(matches!(attempts(&refused.unwrap_err())[0].kind(), ErrorKind::OpenedReadOnly));
            }
            assert_eq!(rows(&pool.reader().unwrap()), 0, "a reader needs no more");
        });
        pool.write(|tx| tx.execute("INSERT INTO t VALUES (1, 'x')", ()))?;
        assert_eq!(pool.reserve()?.execute("INSERT INTO t VALUES (2, 'x')", ())?, 1);
        assert_eq!(rows(&*pool.reader()?), 2);
    }
    Ok(())
}

/// Where it was asked for it is no error.
#[test]
fn a_pool_that_only_reads_has_a_writer_that_only_reads() -> Outcome {
    let db = Database::new();
    let pool = db.pool().options(quick().read_only(true)).reserved(1).build()?;
    for conn in [pool.writer()?, pool.reader()?, pool.reserve()?] {
        assert_eq!((conn.is_readonly("main"), rows(&conn)), (Some(true), 0));
        assert_eq!(conn.execute("DELETE FROM t", ()).unwrap_err().code_name(), Some("SQLITE_READONLY"));
    }
    Ok(())
}
