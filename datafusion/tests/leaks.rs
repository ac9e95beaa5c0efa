//! Handles, native memory, threads and descriptors after queries that end in each way: alone in its process.

use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use finalite::{Connection, LeakCheck, handles};
use finalite_datafusion::SqliteTable;
use futures::StreamExt;
use tokio::runtime::{Builder, Runtime};

type Scenario<'a> = dyn Fn(&Files) + 'a;

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        let conn = Connection::open(files.path()).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode = wal;
             CREATE TABLE t(a INTEGER, b TEXT); CREATE TABLE u(a INTEGER UNIQUE, b TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO t SELECT i, 'text ' || i FROM n;
             CREATE TABLE mixed(a INTEGER); INSERT INTO mixed SELECT a FROM t; INSERT INTO mixed VALUES ('x');
             CREATE VIEW none AS SELECT x.a FROM t AS x, t AS y, t AS z WHERE x.a + y.a + z.a < 0;",
        )
        .unwrap();
        files
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("t.db")
    }

    fn context(&self) -> SessionContext {
        let context = SessionContext::new();
        for name in ["t", "u", "mixed"] {
            context.register_table(name, Arc::new(SqliteTable::open(self.path(), name).unwrap())).unwrap();
        }
        context
    }
}

fn stream(runtime: &Runtime, context: &SessionContext, sql: &str) -> SendableRecordBatchStream {
    runtime.block_on(async { context.sql(sql).await.unwrap().execute_stream().await.unwrap() })
}

/// Number of threads that this crate has started and that run.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    // The kernel keeps 15 bytes of a name.
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "finalite-datafu").count()
}

fn descriptors(files: &Files) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    let paths = all.filter_map(|it| std::fs::read_link(it.ok()?.path()).ok());
    paths.filter(|path| path.starts_with(files.directory.path())).count()
}

/// Lets the runtime drop the tasks that DataFusion has ended: tokio does so when it runs next.
fn settle(runtime: &Runtime) {
    runtime.block_on(async {
        while runtime.metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

/// One test, because the counts are those of the process.
#[test]
fn nothing_is_left() {
    a_statement_that_runs_is_interrupted();
    for runtime in [Builder::new_current_thread().build(), Builder::new_multi_thread().worker_threads(2).build()] {
        let runtime = runtime.unwrap();
        let run = |context: &SessionContext, sql: &str| {
            runtime.block_on(async { context.sql(sql).await?.collect().await.map(|_| ()) })
        };
        let scenarios: [(&str, &Scenario<'_>); 10] = [
            ("all rows", &|files| run(&files.context(), "SELECT * FROM t").unwrap()),
            ("a filter", &|files| run(&files.context(), "SELECT * FROM t WHERE a > 7 AND b <> 'x'").unwrap()),
            ("a join", &|files| run(&files.context(), "SELECT * FROM t JOIN t AS s ON t.a = s.a").unwrap()),
            ("a limit", &|files| run(&files.context(), "SELECT * FROM t WHERE length(b) > 6 LIMIT 5").unwrap()),
            ("a value that does not fit", &|files| {
                run(&files.context(), "SELECT * FROM mixed").unwrap_err();
            }),
            ("a stream that was never polled", &|files| drop(stream(&runtime, &files.context(), "SELECT * FROM t"))),
            ("a stream that was dropped after a batch", &|files| {
                let mut stream = stream(&runtime, &files.context(), "SELECT * FROM t");
                runtime.block_on(stream.next()).unwrap().unwrap();
                // Positive control: until then the connection and its thread are there.
                assert_eq!((handles::counts().connections, threads()), (1, 1));
                assert!(descriptors(files) > 0);
                drop(stream);
                assert_eq!((handles::counts().total(), threads(), descriptors(files)), (0, 0, 0));
            }),
            ("an insertion", &|files| run(&files.context(), "INSERT INTO u SELECT * FROM t").unwrap()),
            ("an insertion that failed", &|files| {
                run(&files.context(), "INSERT INTO u SELECT a % 50000, b FROM t").unwrap_err();
            }),
            ("an insertion that was cancelled", &|files| {
                let context = files.context();
                let insert = "INSERT INTO u SELECT t.a, t.b FROM t CROSS JOIN t AS s";
                let mut stream = stream(&runtime, &context, insert);
                runtime.block_on(async {
                    let sleep = std::future::poll_fn(|cx| {
                        // Polled until it has begun.
                        let _ = stream.poll_next_unpin(cx);
                        if handles::counts().connections < 2 {
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        Poll::Ready(())
                    });
                    sleep.await;
                });
                drop(stream);
                settle(&runtime);
                run(&context, "INSERT INTO u SELECT * FROM t WHERE a = 1").unwrap();
                let conn = Connection::open(files.path()).unwrap();
                assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM u", ()).unwrap(), 1);
            }),
        ];
        for (name, scenario) in scenarios {
            let files = Files::new();
            let check = LeakCheck::new();
            scenario(&files);
            settle(&runtime);
            let report = check.finish();
            assert!(report.is_clean(), "{name}: {report}");
            assert_eq!((handles::counts().total(), threads(), descriptors(&files)), (0, 0, 0), "{name}");
        }
    }
}

/// A statement that runs for years, and gives no row.
fn a_statement_that_runs_is_interrupted() {
    let files = Files::new();
    for runtime in [Builder::new_current_thread().build(), Builder::new_multi_thread().worker_threads(1).build()] {
        let runtime = runtime.unwrap();
        let context = SessionContext::new();
        let table = SqliteTable::open(files.path(), "none").unwrap();
        context.register_table("none", Arc::new(table)).unwrap();
        let mut stream = stream(&runtime, &context, "SELECT a FROM none");
        runtime.block_on(std::future::poll_fn(|cx| {
            assert!(stream.poll_next_unpin(cx).is_pending());
            // Positive control: it runs.
            let counts = handles::counts();
            if (counts.cached_statements, counts.rows) != (2, 1) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        }));
        drop(stream);
        assert_eq!((handles::counts().total(), threads(), descriptors(&files)), (0, 0, 0));
    }
}
