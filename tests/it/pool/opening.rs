//! What the pool's connections are opened as.

use super::*;

#[cfg(target_os = "linux")]
use crate::common::system::{EACCES, EMFILE, with_failing_opens};

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
        destroy_writer(&pool);
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

/// By SQLite's own reading of the path, which has more names for such a database than one.
#[test]
fn a_database_that_nobody_shares_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let inside = |name: &str| format!("file:{}/{name}", dir.path().display());
    let uris = [
        "file::memory:".into(),
        "file:x?mode=memory".into(),
        "file:".into(),
        "file:?cache=private".into(),
        "file:?cache=shared".into(),
        // Percent-encoded, twice, misspelt, of no effect, in the fragment.
        "file:%3Amemory%3A".into(),
        "file:x?mod%65=memory".into(),
        inside("a.db?mode=memory&cache=private"),
        inside("a.db?cache=shared&mode=memory&cache=private"),
        inside("a.db?mode=memory#&cache=shared"),
        inside("a.db?mode=memory&x=?cache=shared"),
        inside("a.db?mode=memory&cach=shared"),
        // Without a slash in front it is private in this file system, too.
        "file:x?vfs=memdb".into(),
        "file:/?vfs=memdb".into(),
    ];
    let refused = |path: &str, options: OpenOptions| {
        let error = Pool::builder(path).options(options).build().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Path { .. }), "{path}: {error}");
    };
    // What each connection sees is its own.
    let control = |path: &str, options: &OpenOptions| {
        let [one, two] = [(), ()].map(|()| options.open(path).unwrap());
        one.execute("CREATE TABLE one(a)", ()).unwrap();
        assert!(two.prepare("SELECT * FROM one").is_err(), "{path}");
    };
    for uri in &uris {
        let options = OpenOptions::new().uri(true);
        control(uri, &options);
        refused(uri, options);
    }
    for path in [":memory:", ""] {
        for uri in [true, false] {
            refused(path, OpenOptions::recommended().uri(uri));
        }
        refused(path, OpenOptions::recommended());
    }
    // The file system that is chosen by name, and a path without a slash in it.
    control("x", &OpenOptions::new().vfs("memdb"));
    refused("x", OpenOptions::new().vfs("memdb"));
    assert_eq!(dir.path().read_dir().unwrap().count(), 0, "and made no file");
}

/// Names that only look like one.
#[test]
fn a_file_of_any_name_has_a_pool() -> Outcome {
    let dir = tempfile::tempdir()?;
    let old = |name: &str| dir.path().join(name);
    let uri = |name: &str| PathBuf::from(format!("file:{}/{name}", dir.path().display()));
    let cases = [
        (old("a?mode=memory"), None, "a?mode=memory"),
        (old("?x.db"), None, "?x.db"),
        (old("file::memory:"), None, "file::memory:"),
        (old("b?mode=memory"), Some(true), "b?mode=memory"),
        (old("c?mode=memory"), Some(false), "c?mode=memory"),
        (old(":memory:"), Some(true), ":memory:"),
        (uri("d.db?x=mode=memory"), Some(true), "d.db"),
        (uri("e.db#?mode=memory"), Some(true), "e.db"),
        (uri("f.db?cache=private"), Some(true), "f.db"),
        (uri("g.db%3Fmode=memory"), Some(true), "g.db?mode=memory"),
    ];
    for (path, is_uri, name) in cases {
        let options = is_uri.map_or(quick(), |is_uri| quick().uri(is_uri));
        let pool = Pool::builder(&path).options(options).build()?;
        pool.writer()?.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
        assert_eq!(rows(&*pool.reader()?), 1, "{}", path.display());
        assert!(old(name).exists(), "{name}");
    }
    Ok(())
}

/// A database in memory that SQLite shares, by either of its ways.
#[test]
fn a_uri_of_a_shared_database_in_memory_has_a_pool() -> Outcome {
    for uri in
        ["file:pool_of_a_uri?mode=memory&cache=shared", "file:/pool_of_a_uri?vfs=memdb", "file::memory:?cache=shared"]
    {
        let pool = Pool::builder(uri).options(OpenOptions::recommended().uri(true)).readers(2).build()?;
        pool.writer()?.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
        let reader = pool.reader()?;
        assert_eq!(rows(&reader), 1, "{uri}");
        let error = reader.execute("DELETE FROM t", ()).unwrap_err();
        assert_eq!(error.code_name(), Some("SQLITE_READONLY"), "{uri}: a reader");
        drop(reader);
        panics(|| {
            let _all = (pool.writer().unwrap(), pool.reader().unwrap(), pool.reader().unwrap());
            resume_unwind(Box::new("with all there are"));
        });
        assert_eq!(rows(&*pool.reader()?), 1, "{uri}: the data survives its connections");
    }
    Ok(())
}

#[test]
fn a_path_that_begins_with_file_asks_for_a_word() -> Outcome {
    let error = Pool::builder("file:x?mode=memory&cache=shared").build().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Path { .. }), "{error}");
    assert!(error.to_string().contains("uri(true)") && error.to_string().contains("uri(false)"), "{error}");
    Ok(())
}
