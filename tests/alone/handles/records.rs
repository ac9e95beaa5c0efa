//! The records of what is open.

use std::collections::BTreeSet;
use std::mem::forget;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use finalite::handles::{self, HandleCounts, HandleKind, OpenHandle, TrackingLevel};
use finalite::{Connection, DropBehavior, FromRow, OpenOptions, Param, Row, ToSql, TransactionBehavior, ffi};

use super::{foreign_statement, records, the, use_everything};
use crate::runner::cases;

cases![
    without_records_everything_is_unrecorded,
    each_handle_has_one_record,
    age_grows_and_the_thread_is_the_one_that_opened,
    sql_is_cut_between_two_characters,
    running_is_told_while_rows_are_out,
    the_level_may_change_while_handles_are_open,
    records_end_with_their_handles,
    connections_and_transactions_have_backtraces_on_demand,
    another_thread_may_list_at_any_time,
    parameters_and_rows_may_look,
];

fn kinds() -> Vec<HandleKind> {
    records().iter().map(|record| record.kind).collect()
}

#[track_caller]
fn assert_opened_at(record: &OpenHandle, line: u32) {
    assert_eq!((record.opened_at.file(), record.opened_at.line()), (file!(), line), "{record}");
}

fn without_records_everything_is_unrecorded() {
    handles::set_level(TrackingLevel::Counters);
    let mut conn = Connection::open_in_memory().unwrap();
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    let mut statement = savepoint.prepare("SELECT 1").unwrap();
    let cached = savepoint.prepare_cached("SELECT 2").unwrap();
    let rows = statement.query(()).unwrap();
    let live = handles::live();
    assert!(live.records.is_empty(), "{live:#?}");
    assert_eq!(live.unrecorded, handles::counts());
    // BEGIN and SAVEPOINT are in the cache.
    assert_eq!(numbers(live.unrecorded), [1, 1, 3, 1, 1, 1]);
    drop((rows, cached));
    drop((statement, savepoint));
    drop(tx);
    drop(conn);
    assert_eq!(handles::live().unrecorded, HandleCounts::default());
}

/// The numbers of the first six kinds; there is none of the others.
fn numbers(counts: HandleCounts) -> [u64; 6] {
    let numbers = std::array::from_fn(|kind| counts.of(HandleKind::ALL[kind]));
    assert_eq!(numbers.iter().sum::<u64>(), counts.total());
    numbers
}

fn each_handle_has_one_record() {
    handles::set_level(TrackingLevel::Records);
    let (mut conn, conn_line) = (Connection::open_in_memory().unwrap(), line!());
    let (mut tx, tx_line) = (conn.transaction().unwrap(), line!());
    let (mut outer, outer_line) = (tx.savepoint().unwrap(), line!());
    let (inner, inner_line) = (outer.savepoint().unwrap(), line!());
    let (statement, statement_line) = (inner.prepare("SELECT 'a'").unwrap(), line!());
    let (cached, cached_line) = (inner.prepare_cached("SELECT 'b'").unwrap(), line!());

    let live = handles::live();
    assert_eq!(live.unrecorded, HandleCounts::default());
    let of = |kind| live.records.iter().filter(move |record| record.kind == kind);
    for kind in HandleKind::ALL {
        assert_eq!(of(kind).count() as u64, handles::counts().of(kind), "{kind}");
    }
    let ids: BTreeSet<u64> = live.records.iter().map(|record| record.id).collect();
    assert_eq!(ids.len(), live.records.len(), "each id once");
    assert!(live.records.is_sorted_by_key(|record| record.id), "in the order they were opened");
    let current = thread::current();
    for record in &live.records {
        assert_eq!((record.thread, record.thread_name.as_deref()), (Some(current.id()), current.name()), "{record}");
        assert!(record.running.is_none() && record.backtrace().is_none(), "{record:#?}");
    }

    let connection = the(HandleKind::Connection);
    assert_opened_at(&connection, conn_line);
    assert_eq!((connection.parent, &connection.sql), (None, &None));
    let transaction = the(HandleKind::Transaction);
    assert_opened_at(&transaction, tx_line);
    assert_eq!((transaction.parent, &transaction.sql), (Some(connection.id), &None));
    let savepoints: Vec<&OpenHandle> = of(HandleKind::Savepoint).collect();
    assert_opened_at(savepoints[0], outer_line);
    assert_eq!(savepoints[0].parent, Some(transaction.id));
    assert_opened_at(savepoints[1], inner_line);
    assert_eq!(savepoints[1].parent, Some(savepoints[0].id));
    let of_statement = the(HandleKind::Statement);
    assert_opened_at(&of_statement, statement_line);
    assert_eq!((of_statement.parent, of_statement.sql.as_deref()), (Some(connection.id), Some("SELECT 'a'")));
    let of_cached = of(HandleKind::CachedStatement).find(|record| record.sql.as_deref() == Some("SELECT 'b'")).unwrap();
    assert_opened_at(of_cached, cached_line);
    assert_eq!(of_cached.parent, Some(connection.id));

    let line = of_statement.to_string();
    let site = format!("{}:{statement_line}:", file!());
    assert!(line.starts_with(&format!("statement {} opened at {site}", of_statement.id)), "{line}");
    assert!(line.ends_with(": SELECT 'a'"), "{line}");
    drop((statement, cached));
    drop(inner);
    drop(outer);
    drop(tx);
    drop(conn);
    assert!(records().is_empty());
}

fn age_grows_and_the_thread_is_the_one_that_opened() {
    handles::set_level(TrackingLevel::Records);
    let open = || Connection::open_in_memory().unwrap();
    let opener = thread::Builder::new().name("opener".into()).spawn(move || (open(), thread::current().id()));
    let (conn, thread) = opener.unwrap().join().unwrap();
    let nameless = thread::Builder::new().spawn(open).unwrap().join().unwrap();
    let first = records();
    assert_eq!((first[0].thread, first[0].thread_name.as_deref()), (Some(thread), Some("opener")));
    assert!(first[0].to_string().contains("on thread opener"), "{}", first[0]);
    assert_eq!(first[1].thread_name, None);
    assert!(first[1].to_string().contains("on ThreadId("), "{}", first[1]);
    // A clock that does not stand still: the second age is larger as soon as it ticks.
    let start = Instant::now();
    while start.elapsed().is_zero() {}
    assert!(records()[0].age > first[0].age);
    drop((conn, nameless));
}

fn sql_is_cut_between_two_characters() {
    handles::set_level(TrackingLevel::Records);
    let conn = Connection::open_in_memory().unwrap();
    for (start, bytes) in [("SELECT '", 256), ("SELECT ' ", 255)] {
        // Characters of two bytes, from an even place on and from an odd one.
        let sql = format!("{start}{}'", "ü".repeat(400));
        let statement = conn.prepare(&sql).unwrap();
        let shown = the(HandleKind::Statement).sql.unwrap();
        assert_eq!(shown.len(), bytes);
        assert!(sql.starts_with(&*shown));
        drop(statement);
    }
    let exact = format!("SELECT {}", "1".repeat(249));
    let statement = conn.prepare(&exact).unwrap();
    assert_eq!(the(HandleKind::Statement).sql.as_deref(), Some(&*exact));
    drop(statement);
    let shown = {
        let mut script = conn.script("SELECT 1 ; SELECT 2;");
        let _first = script.next().unwrap().unwrap();
        the(HandleKind::Statement).sql.unwrap()
    };
    assert_eq!(&*shown, "SELECT 1 ;", "of a script, its own statement alone");
}

fn running_is_told_while_rows_are_out() {
    handles::set_level(TrackingLevel::Records);
    let conn = Connection::open_in_memory().unwrap();
    let is_running = |kind| the(kind).running.is_some();

    let mut statement = conn.prepare("VALUES (1), (2)").unwrap();
    assert!(!is_running(HandleKind::Statement));
    let mut rows = statement.query(()).unwrap();
    assert!(is_running(HandleKind::Statement), "before the first step");
    while rows.next().unwrap().is_some() {
        assert!(is_running(HandleKind::Statement));
    }
    assert!(is_running(HandleKind::Statement), "after the last");
    // By a clock that ticks some hundred times a second.
    let (first, start) = (the(HandleKind::Statement).running, Instant::now());
    while start.elapsed() < Duration::from_millis(50) {}
    let record = the(HandleKind::Statement);
    assert!(record.running > first && record.running.unwrap() <= record.age);
    assert!(record.to_string().contains(", running for "), "{record}");
    assert_eq!(handles::live().unrecorded, HandleCounts::default(), "rows are their statement's");
    rows.finish().unwrap();
    assert!(!is_running(HandleKind::Statement));

    drop(statement.query(()).unwrap());
    assert!(!is_running(HandleKind::Statement));
    forget(statement.query(()).unwrap());
    assert!(is_running(HandleKind::Statement), "forgotten rows hold on");
    assert_eq!(statement.query_all::<i64>(()).unwrap(), [1, 2]);
    assert!(!is_running(HandleKind::Statement));

    let mut rows = statement.into_rows(()).unwrap();
    assert!(is_running(HandleKind::Statement));
    rows.next().unwrap();
    drop(rows);
    assert!(kinds() == [HandleKind::Connection]);

    let mut cached = conn.prepare_cached("VALUES (3)").unwrap();
    let rows = cached.query_as::<i64>(()).unwrap();
    assert!(is_running(HandleKind::CachedStatement));
    drop(rows);
    drop(cached);
    assert!(!is_running(HandleKind::CachedStatement));
    // Parameters that are refused: nothing began.
    conn.prepare("SELECT ?").unwrap().query(()).unwrap_err();
    assert_eq!(handles::counts().rows, 0);
}

fn the_level_may_change_while_handles_are_open() {
    handles::set_level(TrackingLevel::Counters);
    let mut conn = Connection::open_in_memory().unwrap();
    let id = |kind| the(kind).id;
    conn.execute("SELECT 1", ()).unwrap();
    let mut old = conn.prepare("SELECT 2").unwrap();

    handles::set_level(TrackingLevel::Records);
    assert_eq!(handles::level(), TrackingLevel::Records);
    let rows_of_old = old.query(()).unwrap();
    conn.execute("SELECT 1", ()).unwrap();
    let mut new = conn.prepare("SELECT 3").unwrap();
    let rows_of_new = new.query(()).unwrap();
    let live = handles::live();
    // The connection, SELECT 2 and its rows, SELECT 1 in the cache; not SELECT 3 and its rows.
    assert_eq!(numbers(live.unrecorded), [1, 1, 1, 1, 0, 0]);
    assert_eq!(live.records.len(), 1);
    assert_eq!(live.records[0].sql.as_deref(), Some("SELECT 3"));
    assert!(live.records[0].parent.is_some(), "of a connection that has no record");
    drop((rows_of_old, rows_of_new));
    drop((old, new));

    let mut tx = conn.transaction().unwrap();
    let transaction = id(HandleKind::Transaction);
    handles::set_level(TrackingLevel::Counters);
    let savepoint = tx.savepoint().unwrap();
    assert_eq!(handles::live().unrecorded.savepoints, 1);
    assert_eq!(id(HandleKind::Transaction), transaction, "what has a record keeps it");
    handles::set_level(TrackingLevel::Records);
    let mut savepoint = savepoint;
    let inner = savepoint.savepoint().unwrap();
    assert_eq!(
        the(HandleKind::Savepoint).parent,
        the(HandleKind::Transaction).parent,
        "the one around it has no record"
    );
    handles::set_level(TrackingLevel::Counters);
    drop(inner);
    drop(savepoint);
    drop(tx);
    drop(conn);
    assert!(records().is_empty(), "records end with their handles, whatever the level: {:#?}", records());
    assert_eq!(handles::counts(), HandleCounts::default());
}

fn records_end_with_their_handles() {
    handles::set_level(TrackingLevel::Records);
    let dir = tempfile::tempdir().unwrap();
    type End = (&'static str, fn(&Path));
    let ends: &[End] = &[
        ("drop", |_| drop(Connection::open_in_memory().unwrap())),
        ("close", |_| Connection::open_in_memory().unwrap().close().unwrap()),
        ("an open that fails", |dir| drop(Connection::open(dir.join("missing/a.db")).unwrap_err())),
        ("an init that fails", |_| {
            let options = OpenOptions::new().init(|conn| conn.execute_batch("SELECT 1; nonsense"));
            options.open_in_memory().unwrap_err();
        }),
        ("a statement that fails", |_| {
            let conn = Connection::open_in_memory().unwrap();
            for sql in ["nonsense", "SELECT 1; SELECT 2", "-- nothing", "SELECT \0"] {
                conn.prepare(sql).unwrap_err();
                conn.prepare_cached(sql).unwrap_err();
            }
            assert_eq!(kinds(), [HandleKind::Connection]);
        }),
        ("finalize and drop of statements", |_| {
            let conn = Connection::open_in_memory().unwrap();
            conn.prepare("SELECT 1").unwrap().finalize().unwrap();
            drop(conn.prepare("SELECT 1").unwrap());
            drop(conn.prepare("SELECT 1").unwrap().into_rows(()).unwrap());
            conn.prepare("SELECT 1").unwrap().into_rows(()).unwrap().finish().unwrap();
            conn.prepare_cached("SELECT 1").unwrap().finalize().unwrap();
            assert_eq!(conn.pragma::<i64>("user_version").unwrap(), 0);
            conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
            assert_eq!(kinds(), [HandleKind::Connection]);
        }),
        ("the cache: full, cleared, turned off, closed", |_| {
            let conn = Connection::open_in_memory().unwrap();
            conn.set_statement_cache_limits(2, 1 << 20);
            (0..10).for_each(|n| assert_eq!(conn.execute(&format!("SELECT {n}"), ()).unwrap(), 0));
            assert_eq!(records().len(), 3);
            conn.clear_statement_cache();
            assert_eq!(kinds(), [HandleKind::Connection]);
            let both = (conn.prepare_cached("SELECT 1").unwrap(), conn.prepare_cached("SELECT 1").unwrap());
            assert_eq!(records().len(), 3, "two instances");
            drop(both);
            conn.set_statement_cache_limits(0, 0);
            assert_eq!(kinds(), [HandleKind::Connection]);
            conn.set_statement_cache_limits(8, 1 << 20);
            conn.execute("SELECT 1", ()).unwrap();
            assert_eq!(records().len(), 2);
        }),
        ("transactions and savepoints", |_| {
            let mut conn = Connection::open_in_memory().unwrap();
            let guards = || {
                kinds().iter().filter(|kind| matches!(kind, HandleKind::Transaction | HandleKind::Savepoint)).count()
            };
            drop(conn.transaction().unwrap());
            conn.transaction().unwrap().commit().unwrap();
            conn.transaction().unwrap().rollback().unwrap();
            conn.transaction().unwrap().set_drop_behavior(DropBehavior::Commit);
            conn.transaction_with(TransactionBehavior::Immediate).unwrap().commit_or_return().unwrap();
            assert_eq!(guards(), 0);
            let mut tx = conn.transaction().unwrap();
            drop(tx.savepoint().unwrap());
            tx.savepoint().unwrap().commit().unwrap();
            tx.savepoint_named("a").unwrap().rollback().unwrap();
            assert_eq!(guards(), 1);
            // SQLite ends it by itself.
            tx.execute("ROLLBACK", ()).unwrap();
            drop(tx);
            assert_eq!(guards(), 0);
            // One that does not begin.
            conn.execute("BEGIN", ()).unwrap();
            conn.transaction().unwrap_err();
            assert_eq!(guards(), 0);
        }),
        ("a panic", |_| {
            let work = || {
                let mut conn = Connection::open_in_memory().unwrap();
                let tx = conn.transaction().unwrap();
                let mut statement = tx.prepare("SELECT 1").unwrap();
                let _rows = statement.query(()).unwrap();
                panic!("with everything open");
            };
            assert!(std::panic::catch_unwind(work).is_err());
        }),
        ("forgotten, then closed", |_| {
            let mut conn = Connection::open_in_memory().unwrap();
            forget(conn.prepare("SELECT 1").unwrap());
            forget(conn.prepare_cached("SELECT 1").unwrap());
            forget(conn.prepare("SELECT 1").unwrap().into_rows(()).unwrap());
            let mut tx = conn.transaction().unwrap();
            forget(tx.savepoint().unwrap());
            forget(tx);
            assert!(records().len() > 5);
        }),
        ("opened here, closed elsewhere", |_| {
            let conn = Connection::open_in_memory().unwrap();
            conn.execute("SELECT 1", ()).unwrap();
            thread::spawn(move || drop(conn)).join().unwrap();
        }),
        ("in the destructor of a thread-local", |_| {
            struct Late(Option<Connection>);
            impl Drop for Late {
                fn drop(&mut self) {
                    let conn = Connection::open_in_memory().unwrap();
                    conn.execute("SELECT 1", ()).unwrap();
                    assert_eq!(records().len(), 3, "this, its statement, and the one that was kept");
                }
            }
            thread_local! {
                static LATE: std::cell::RefCell<Late> = const { std::cell::RefCell::new(Late(None)) };
            }
            let keep = || LATE.with(|late| late.borrow_mut().0 = Some(Connection::open_in_memory().unwrap()));
            thread::spawn(keep).join().unwrap();
        }),
        ("refused by SQLite, then closed", |_| {
            let conn = Connection::open_in_memory().unwrap();
            let foreign = foreign_statement(&conn);
            let conn = conn.close_or_return().unwrap_err().into_connection();
            assert_eq!(kinds(), [HandleKind::Connection]);
            // SAFETY: made above, finalized once.
            unsafe { ffi::sqlite3_finalize(foreign) };
            conn.close().unwrap();
        }),
    ];
    for (name, end) in ends {
        end(dir.path());
        let live = handles::live();
        assert!(live.records.is_empty(), "{name}: {:#?}", live.records);
        assert_eq!(live.unrecorded, HandleCounts::default(), "{name}");
    }
}

fn connections_and_transactions_have_backtraces_on_demand() {
    handles::set_level(TrackingLevel::Backtraces);
    assert_eq!(handles::level(), TrackingLevel::Backtraces);
    let mut conn = Connection::open_in_memory().unwrap();
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    let statement = savepoint.prepare("SELECT 1").unwrap();
    for record in records() {
        let backtrace = record.backtrace().map(ToString::to_string);
        match record.kind {
            HandleKind::Connection | HandleKind::Transaction => {
                let backtrace = backtrace.unwrap();
                assert!(backtrace.contains("connections_and_transactions_have_backtraces"), "{backtrace}");
            }
            _ => assert!(backtrace.is_none(), "{record}"),
        }
    }
    handles::set_level(TrackingLevel::Records);
    let other = Connection::open_in_memory().unwrap();
    assert!(records().last().unwrap().backtrace().is_none());
    drop(statement);
    drop(savepoint);
    drop(tx);
    drop((conn, other));
}

fn another_thread_may_list_at_any_time() {
    handles::set_level(TrackingLevel::Records);
    let forgotten_before = handles::forgotten().statements;
    let is_enough = AtomicBool::new(false);
    let rounds = AtomicUsize::new(0);
    let (mut doubles, mut orphans, mut too_many) = (0, 0, 0);
    thread::scope(|scope| {
        for n in 0..4 {
            let (is_enough, rounds) = (&is_enough, &rounds);
            scope.spawn(move || {
                while !is_enough.load(Ordering::Relaxed) {
                    use_everything();
                    rounds.fetch_add(1, Ordering::Relaxed);
                    if n == 0 {
                        // Records of both kinds at once: with and without backtraces, and none.
                        let levels = [TrackingLevel::Records, TrackingLevel::Backtraces, TrackingLevel::Counters];
                        handles::set_level(levels[rounds.load(Ordering::Relaxed) % 3]);
                    }
                }
            });
        }
        let mut seen = BTreeSet::new();
        let mut listings = 0;
        while listings < 500 || seen.len() < 5 || rounds.load(Ordering::Relaxed) < 200 {
            let records = records();
            let ids: BTreeSet<u64> = records.iter().map(|record| record.id).collect();
            doubles += records.len() - ids.len();
            orphans += records.iter().filter(|record| record.parent.is_some_and(|parent| parent >= record.id)).count();
            seen.extend(records.iter().map(|record| record.kind.name()));
            too_many += usize::from(handles::forgotten_handles().len() > 256);
            listings += 1;
        }
        is_enough.store(true, Ordering::Relaxed);
    });
    assert_eq!((doubles, orphans, too_many), (0, 0, 0));
    let live = handles::live();
    assert!(live.records.is_empty(), "{:#?}", live.records);
    assert_eq!(live.unrecorded, HandleCounts::default());
    let rounds = rounds.load(Ordering::Relaxed) as u64;
    assert_eq!(handles::forgotten().statements - forgotten_before, rounds, "none lost, none twice");
}

fn parameters_and_rows_may_look() {
    struct Looks;
    impl ToSql for Looks {
        fn to_sql(&self) -> Param<'_> {
            assert_eq!(the(HandleKind::CachedStatement).running, None);
            Param::integer(1)
        }
    }
    struct Looked;
    impl FromRow<'_> for Looked {
        fn from_row(_: Row<'_>) -> finalite::Result<Self> {
            assert!(the(HandleKind::CachedStatement).running.is_some());
            Ok(Self)
        }
    }
    handles::set_level(TrackingLevel::Records);
    let conn = Connection::open_in_memory().unwrap();
    assert_eq!(conn.query_all::<Looked>("SELECT ?", (&Looks,)).unwrap().len(), 1);
}
