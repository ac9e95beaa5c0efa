//! Metrics say what a snapshot says, in each state that a process may be in; and nothing of what is in the database.
//!
//! It compares counters of the whole process: so there is one test, which takes one case after the other.

#[path = "../endpoint/openmetrics.rs"]
mod openmetrics;

use std::collections::BTreeSet;
use std::mem::forget;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{ptr, thread};

use finalite::data::{Access, Backup};
use finalite::handles::{self, HandleKind, TrackingLevel};
use finalite::pool::{Checkpointer, DestroyReason, Pool};
use finalite::stats::{DbStatus, Stats, snapshot};
use finalite::{Connection, OpenOptions, ffi, memory};
use finalite_endpoint::{Collector, Options, to_openmetrics};
use http::{HeaderMap, Method};
use openmetrics::{Format, Metrics};
use serde_json::Value;

#[test]
fn metrics_say_what_a_snapshot_says() {
    let cases: &[(&str, fn())] = &[
        // The first is the first to take a snapshot in this process.
        ("states", each_state_is_told),
        ("left behind", what_is_left_behind_is_told),
        ("failures", failures_are_told_by_code),
        ("moving", what_moves_is_told),
        ("metrics", metrics_are_those_that_are_documented),
        ("registry", a_collector_stands_beside_others),
        ("names", names_stay_out),
        ("privacy", nothing_of_the_data_is_told),
        ("JSON and the page", the_page_reads_the_keys_of_the_json),
    ];
    handles::set_level(TrackingLevel::Records);
    let mut failed = Vec::new();
    for (name, case) in cases {
        if catch_unwind(case).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "these cases failed: {failed:?}");
}

#[track_caller]
fn named(name: &str) -> Connection {
    OpenOptions::new().name(name).open_in_memory().unwrap()
}

/// Does nothing, as a call to a connection.
fn touch(conn: &Connection) {
    conn.set_busy_timeout(Duration::ZERO).unwrap();
}

fn metrics_of(stats: &Stats) -> Metrics {
    openmetrics::parse(&to_openmetrics(stats), Format::OpenMetrics).unwrap()
}

// ---- agreement

/// Name, labels and value.
type Sample = (&'static str, Vec<(&'static str, &'static str)>, f64);

/// Each number of the metrics, from the snapshot.
fn expected(stats: &Stats) -> Vec<Sample> {
    let memory = &stats.memory;
    let figures = || stats.connections.iter().filter_map(|conn| conn.figures);
    let sum = |of: fn(DbStatus) -> u64| figures().map(of).sum::<u64>();
    let roles = || stats.pools.iter().flat_map(|pool| &pool.roles);
    let mut all: Vec<Sample> = Vec::new();
    let mut tell = |name, labels: &[(&'static str, &'static str)], value: u64| {
        all.push((name, labels.to_vec(), value as f64));
    };
    tell("sqlite_native_memory_bytes", &[], memory.bytes);
    tell("sqlite_native_memory_peak_bytes", &[], memory.peak_bytes);
    tell("sqlite_native_allocations", &[], memory.blocks);
    tell("sqlite_native_allocated_bytes_total", &[], memory.allocated_bytes_total);
    tell("sqlite_native_allocs_total", &[], memory.allocations_total);
    tell("sqlite_native_frees_total", &[], memory.frees_total);
    tell("sqlite_native_reallocs_total", &[], memory.reallocations_total);
    tell("sqlite_native_alloc_failures_total", &[("reason", "oom")], memory.failures_system_total);
    tell("sqlite_native_alloc_failures_total", &[("reason", "limit")], memory.failures_limit_total);
    tell("sqlite_native_alloc_failures_total", &[("reason", "injected")], memory.failures_injected_total);
    tell("sqlite_native_unattributed_bytes", &[], memory.unattributed_bytes);
    tell("sqlite_native_orphaned_bytes", &[], memory.orphaned_bytes);
    for kind in HandleKind::ALL {
        for (name, counts) in [
            ("sqlite_handles", &stats.open),
            ("sqlite_handles_opened_total", &stats.opened),
            ("sqlite_handles_closed_total", &stats.closed),
            ("sqlite_handles_forgotten_total", &stats.forgotten),
        ] {
            tell(name, &[("kind", kind.name())], counts.of(kind));
        }
    }
    for (code, count) in &stats.open_failures {
        tell("sqlite_open_failures_total", &[("code", code)], *count);
    }
    for (code, count) in &stats.close_failures {
        tell("sqlite_close_failures_total", &[("code", code)], *count);
    }
    let lookaside = stats.connections.iter().map(|conn| conn.lookaside_bytes).sum();
    let statements = figures().filter_map(|figures| figures.statement_bytes).sum();
    tell("sqlite_db_memory_bytes", &[("component", "pager")], sum(|figures| figures.page_cache_bytes));
    tell("sqlite_db_memory_bytes", &[("component", "schema")], sum(|figures| figures.schema_bytes));
    tell("sqlite_db_memory_bytes", &[("component", "statements")], statements);
    tell("sqlite_db_memory_bytes", &[("component", "lookaside_reserved")], lookaside);
    tell("sqlite_lookaside_hits_total", &[], stats.caches.lookaside_hits);
    tell("sqlite_lookaside_misses_total", &[("reason", "size")], stats.caches.lookaside_misses_size);
    tell("sqlite_lookaside_misses_total", &[("reason", "full")], stats.caches.lookaside_misses_full);
    tell("sqlite_pager_cache_hits_total", &[], stats.caches.pager_hits);
    tell("sqlite_pager_cache_misses_total", &[], stats.caches.pager_misses);
    tell("sqlite_pager_cache_writes_total", &[], stats.caches.pager_writes);
    tell("sqlite_pager_cache_spills_total", &[], stats.caches.pager_spills);
    tell("sqlite_tempbuf_spill_bytes_total", &[], stats.caches.tempbuf_spill_bytes);
    tell("sqlite_pool_slots", &[("state", "idle")], roles().map(|role| role.idle as u64).sum());
    tell("sqlite_pool_waiting", &[], roles().map(|role| role.waiting as u64).sum());
    tell("sqlite_pool_acquires_total", &[], stats.pool_totals.acquired);
    tell("sqlite_pool_acquire_timeouts_total", &[], stats.pool_totals.timeouts);
    for reason in DestroyReason::ALL {
        let count = stats.pool_totals.destroyed[reason as usize];
        tell("sqlite_pool_destroyed_total", &[("reason", reason.name())], count);
    }
    tell("sqlite_background_threads", &[], stats.process.background_threads);
    let activity = &stats.activity;
    tell("sqlite_executions_total", &[], activity.executions);
    tell("sqlite_commits_total", &[], activity.commits);
    tell("sqlite_busy_total", &[], activity.busy);
    tell("sqlite_slow_total", &[], activity.slow);
    tell("sqlite_lock_retries_total", &[], activity.lock_retries);
    tell("sqlite_wal_bytes", &[], stats.databases.iter().filter_map(|database| database.wal_bytes).sum());
    tell("sqlite_pool_waits_total", &[], stats.pool_totals.waits);
    tell("sqlite_checkpoints_total", &[("result", "done")], stats.pool_totals.checkpoints);
    tell("sqlite_checkpoints_total", &[("result", "skipped")], stats.pool_totals.checkpoints_skipped);
    tell("sqlite_checkpoints_total", &[("result", "failed")], stats.pool_totals.checkpoints_failed);
    let last = || stats.pools.iter().filter_map(|pool| pool.checkpoint);
    let checkpointed: u64 = last().map(|last| last.checkpointed).sum();
    let frames: u64 = last().map(|last| last.frames).sum();
    tell("sqlite_checkpoint_frames", &[("state", "checkpointed")], checkpointed);
    tell("sqlite_checkpoint_frames", &[("state", "left")], frames - checkpointed);
    for (name, times) in [
        ("sqlite_execution_times_seconds_count", &activity.execution_times),
        ("sqlite_commit_times_seconds_count", &activity.commit_times),
        ("sqlite_write_lock_times_seconds_count", &activity.write_lock_times),
    ] {
        tell(name, &[], times.count());
    }
    let seconds = [
        ("sqlite_lock_retry_wait_seconds_total", activity.lock_retry_wait),
        ("sqlite_pool_wait_seconds_total", stats.pool_totals.wait),
        ("sqlite_execution_times_seconds_sum", activity.execution_times.sum),
        ("sqlite_commit_times_seconds_sum", activity.commit_times.sum),
        ("sqlite_write_lock_times_seconds_sum", activity.write_lock_times.sum),
    ];
    all.extend(seconds.map(|(name, duration)| (name, vec![], duration.as_secs_f64())));
    let age = figures().map(|figures| figures.age).max().unwrap_or_default();
    all.push(("sqlite_snapshot_age_seconds", vec![], age.as_secs_f64()));
    all
}

/// Whether the metrics of a snapshot are its numbers.
#[track_caller]
fn assert_agree(stats: &Stats) -> Metrics {
    let metrics = metrics_of(stats);
    for (name, labels, value) in expected(stats) {
        let told = metrics.value(name, &labels);
        assert!((told - value).abs() <= 1e-6, "{name} {labels:?}: {told}, not {value}");
    }
    metrics
}

fn each_state_is_told() {
    let conn = named("first");
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(50000))").unwrap();
    let pager = |metrics: &Metrics| metrics.value("sqlite_db_memory_bytes", &[("component", "pager")]);
    assert_eq!(pager(&assert_agree(&snapshot())), 0.0);
    touch(&conn);
    assert!(pager(&assert_agree(&snapshot())) > 50_000.0);

    // Statements are added up, unless there are many.
    let own = OpenOptions::new().name("own").lookaside(256, 64).open_in_memory().unwrap();
    let mut statements: Vec<_> = (0..64).map(|n| own.prepare(&format!("SELECT {n}")).unwrap()).collect();
    let bytes = || {
        drop(snapshot());
        touch(&own);
        let metrics = assert_agree(&snapshot());
        metrics.value("sqlite_db_memory_bytes", &[("component", "statements")])
    };
    assert!(bytes() > 0.0);
    statements.push(own.prepare("SELECT 64").unwrap());
    assert_eq!(bytes(), 0.0);

    // What is idle stays as old as it is.
    let oldest = metrics_of(&snapshot()).value("sqlite_snapshot_age_seconds", &[]);
    let mut running = own.prepare("VALUES (1), (2)").unwrap();
    let mut rows = running.query(()).unwrap();
    rows.next().unwrap();
    assert!(assert_agree(&snapshot()).value("sqlite_snapshot_age_seconds", &[]) > oldest);
    assert_eq!(assert_agree(&snapshot()).value("sqlite_handles", &[("kind", "rows")]), 1.0);
    drop(rows);
    drop((running, statements));

    let before = snapshot().forgotten.statements;
    forget(own.prepare("SELECT 'forgotten'").unwrap());
    drop(own);
    let forgotten = assert_agree(&snapshot()).value("sqlite_handles_forgotten_total", &[("kind", "statement")]);
    assert_eq!(forgotten, before as f64 + 1.0);

    // The control: another state is no agreement.
    let (then, now) = (metrics_of(&snapshot()), named("another"));
    let differs = |(name, labels, value): Sample| then.find(name, &labels) != Some(value);
    assert!(expected(&snapshot()).into_iter().any(differs));
    drop(now);
}

/// A connection that is none of finalite's.
struct Stranger(*mut ffi::sqlite3);

impl Stranger {
    /// Opens the database that this connection has open, shares with it what it has read, and closes it.
    fn share(path: &Path, conn: Connection) -> Self {
        conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let mut handle = ptr::null_mut();
        // SAFETY: the path is NUL-terminated and lives during the call.
        let code = unsafe { ffi::sqlite3_open(path.as_ptr(), &raw mut handle) };
        assert_eq!(code, ffi::SQLITE_OK);
        let sql = c"SELECT count(*) FROM t";
        // SAFETY: the connection is open; c3ref/exec.html allows NULL for what is not wanted.
        let code = unsafe { ffi::sqlite3_exec(handle, sql.as_ptr(), None, ptr::null_mut(), ptr::null_mut()) };
        assert_eq!(code, ffi::SQLITE_OK);
        drop(conn);
        Self(handle)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // SAFETY: the connection is open, and nobody else has it.
        assert_eq!(unsafe { ffi::sqlite3_close(self.0) }, ffi::SQLITE_OK);
    }
}

fn what_is_left_behind_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    fill(&path, 10);
    let stranger = Stranger::share(&path, OpenOptions::recommended().open(&path).unwrap());
    assert!(assert_agree(&snapshot()).value("sqlite_native_orphaned_bytes", &[]) > 0.0);
    drop(stranger);
    assert_eq!(assert_agree(&snapshot()).value("sqlite_native_orphaned_bytes", &[]), 0.0);
}

fn failures_are_told_by_code() {
    let dir = tempfile::tempdir().unwrap();
    let no_database = dir.path().join("no.db");
    std::fs::write(&no_database, "this is no database, though it is as long as a page's beginning is".repeat(20))
        .unwrap();
    Connection::open(dir.path().join("nowhere/a.db")).unwrap_err();
    OpenOptions::recommended().open(&no_database).unwrap_err();
    Connection::open("with a \0 within").unwrap_err();
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = ptr::null_mut();
    // SAFETY: the connection is open, the text NUL-terminated; the statement is finalized below.
    let code = unsafe {
        ffi::sqlite3_prepare_v2(conn.as_raw(), c"SELECT 1".as_ptr(), -1, &raw mut statement, ptr::null_mut())
    };
    assert_eq!(code, ffi::SQLITE_OK);
    let refused = conn.close_or_return().unwrap_err();
    // SAFETY: it was prepared above, and is finalized once; its connection is open, since it could not be closed.
    unsafe { ffi::sqlite3_finalize(statement) };
    refused.into_connection().close().unwrap();
    let metrics = assert_agree(&snapshot());
    for (name, codes) in [
        ("sqlite_open_failures_total", &["SQLITE_CANTOPEN", "SQLITE_NOTADB", "none"][..]),
        ("sqlite_close_failures_total", &["SQLITE_BUSY"]),
    ] {
        for code in codes {
            assert!(metrics.value(name, &[("code", code)]) >= 1.0, "{code}");
        }
    }
}

/// While other threads open and close, each snapshot is one state.
fn what_moves_is_told() {
    let dir = tempfile::tempdir().unwrap();
    fill(&dir.path().join("a.db"), 10);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let pool = Pool::builder(dir.path().join("a.db")).readers(2).build().unwrap();
                    pool.reader().unwrap().query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
                }
            });
        }
        for _ in 0..100 {
            assert_agree(&snapshot());
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

fn fill(path: &Path, rows: u32) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)").unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                INSERT INTO t SELECT i, hex(randomblob(100)) FROM n";
    conn.execute(fill, (rows,)).unwrap();
}

/// None of them comes into the metrics, where it would have to be quoted.
fn names_stay_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("é 漢 \" b");
    let conn = OpenOptions::new().name("é 漢 \" b").open(&path).unwrap();
    let pool = Pool::builder(&path).readers(1).options(OpenOptions::new()).build().unwrap();
    let reader = pool.reader().unwrap();
    drop(conn.prepare_cached("SELECT '漢'").unwrap());
    let stats = snapshot();
    assert!(!to_openmetrics(&stats).contains('漢'));
    assert!(stats.to_json().contains('漢'), "the control");
    assert_agree(&stats);
    drop(reader);
}

/// A label and its values; `*` for any.
type Label = (&'static str, &'static [&'static str]);

/// Name, type, unit, and the labels.
const METRICS: &[(&str, &str, &str, &[Label])] = &[
    ("sqlite_native_memory_bytes", "gauge", "bytes", &[]),
    ("sqlite_native_memory_peak_bytes", "gauge", "bytes", &[]),
    ("sqlite_native_memory_limit_bytes", "gauge", "bytes", &[]),
    ("sqlite_native_allocations", "gauge", "", &[]),
    ("sqlite_native_allocated_bytes", "counter", "bytes", &[]),
    ("sqlite_native_allocs", "counter", "", &[]),
    ("sqlite_native_frees", "counter", "", &[]),
    ("sqlite_native_reallocs", "counter", "", &[]),
    ("sqlite_native_alloc_failures", "counter", "", &[("reason", &["oom", "limit", "injected"])]),
    ("sqlite_native_allocation_size_bytes", "histogram", "bytes", &[]),
    ("sqlite_native_unattributed_bytes", "gauge", "bytes", &[]),
    ("sqlite_native_orphaned_bytes", "gauge", "bytes", &[]),
    ("sqlite_handles", "gauge", "", KINDS),
    ("sqlite_handles_opened", "counter", "", KINDS),
    ("sqlite_handles_closed", "counter", "", KINDS),
    ("sqlite_handles_forgotten", "counter", "", KINDS),
    ("sqlite_oldest_handle_age_seconds", "gauge", "seconds", RECORDED),
    ("sqlite_open_failures", "counter", "", &[("code", &["*"])]),
    ("sqlite_close_failures", "counter", "", &[("code", &["*"])]),
    ("sqlite_pool_slots", "gauge", "", &[("state", &["idle", "busy", "reserved"])]),
    ("sqlite_pool_waiting", "gauge", "", &[]),
    ("sqlite_pool_acquires", "counter", "", &[]),
    ("sqlite_pool_acquire_timeouts", "counter", "", &[]),
    ("sqlite_pool_waits", "counter", "", &[]),
    ("sqlite_pool_wait_seconds", "counter", "seconds", &[]),
    ("sqlite_checkpoints", "counter", "", &[("result", &["done", "skipped", "failed"])]),
    ("sqlite_checkpoint_frames", "gauge", "", &[("state", &["checkpointed", "left"])]),
    ("sqlite_executions", "counter", "", &[]),
    ("sqlite_commits", "counter", "", &[]),
    ("sqlite_busy", "counter", "", &[]),
    ("sqlite_lock_retries", "counter", "", &[]),
    ("sqlite_lock_retry_wait_seconds", "counter", "seconds", &[]),
    ("sqlite_slow", "counter", "", &[]),
    ("sqlite_execution_times_seconds", "histogram", "seconds", &[]),
    ("sqlite_commit_times_seconds", "histogram", "seconds", &[]),
    ("sqlite_write_lock_times_seconds", "histogram", "seconds", &[]),
    ("sqlite_wal_bytes", "gauge", "bytes", &[]),
    ("sqlite_pool_destroyed", "counter", "", &[("reason", &["*"])]),
    ("sqlite_pool_rollback_failures", "counter", "", &[]),
    (
        "sqlite_db_memory_bytes",
        "gauge",
        "bytes",
        &[("component", &["pager", "schema", "statements", "lookaside_reserved"])],
    ),
    ("sqlite_lookaside_hits", "counter", "", &[]),
    ("sqlite_lookaside_misses", "counter", "", &[("reason", &["size", "full"])]),
    ("sqlite_pager_cache_hits", "counter", "", &[]),
    ("sqlite_pager_cache_misses", "counter", "", &[]),
    ("sqlite_pager_cache_writes", "counter", "", &[]),
    ("sqlite_pager_cache_spills", "counter", "", &[]),
    ("sqlite_tempbuf_spill_bytes", "counter", "bytes", &[]),
    ("sqlite_snapshot_age_seconds", "gauge", "seconds", &[]),
    ("sqlite_background_threads", "gauge", "", &[]),
    (
        "sqlite_allocator",
        "info",
        "",
        &[("mode", &["*"]), ("backend", &["*"]), ("memory_management", &["*"]), ("sqlite_version", &["*"])],
    ),
    ("sqlite_build", "info", "", &[("finalite_version", &["*"]), ("sqlite_version", &["*"])]),
    ("process_resident_memory_bytes", "gauge", "bytes", &[]),
    ("process_open_fds", "gauge", "", &[]),
    ("process_threads", "gauge", "", &[]),
];

/// The kinds of which the test has one open.
const RECORDED: &[Label] = &[(
    "kind",
    &[
        "connection",
        "statement",
        "cached_statement",
        "rows",
        "transaction",
        "savepoint",
        "callback",
        "blob",
        "backup",
        "deadline",
    ],
)];

const KINDS: &[Label] = &[(
    "kind",
    &[
        "connection",
        "statement",
        "cached_statement",
        "rows",
        "transaction",
        "savepoint",
        "callback",
        "blob",
        "backup",
        "session",
        "snapshot",
        "watch",
        "deadline",
    ],
)];

fn metrics_are_those_that_are_documented() {
    let mut conn = named("metrics");
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    let mut other = named("another");
    other.create_diagnostic_tables().unwrap();
    other.execute_batch("CREATE TABLE files(content); INSERT INTO files VALUES (zeroblob(10))").unwrap();
    let _blob = other.blob(("files", "content", 1), Access::ReadOnly).unwrap();
    let _backup = Backup::new(&other, Connection::open_in_memory().unwrap()).unwrap();
    let _deadline = other.deadline(Duration::from_secs(3_600)).unwrap();
    let mut statement = other.prepare("VALUES (1), (2)").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    let pool = Pool::in_memory("metrics").readers(2).reserved(1).build().unwrap();
    let (reader, reserved) = (pool.reader().unwrap(), pool.reserve().unwrap());
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    memory::set_limit(1 << 40).unwrap();
    drop(snapshot());
    reader.query_one::<i64>("SELECT 1", ()).unwrap();
    let stats = snapshot();
    memory::set_limit(None).unwrap();
    let text = to_openmetrics(&stats);
    let metrics = openmetrics::parse(&text, Format::OpenMetrics).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    let names: BTreeSet<&str> = metrics.0.iter().map(|family| family.name.as_str()).collect();
    assert_eq!(names, METRICS.iter().map(|metric| metric.0).collect());
    for (name, of, unit, labels) in METRICS {
        let family = metrics.family(name).unwrap();
        assert_eq!((family.of.as_str(), family.unit.as_deref().unwrap_or_default()), (*of, *unit), "{name}");
        if *of == "histogram" {
            continue;
        }
        let expected: Vec<&str> = labels.iter().map(|(label, _)| *label).collect();
        for sample in &family.samples {
            assert_eq!(sample.labels.iter().map(|(label, _)| label).collect::<Vec<_>>(), expected, "{name}");
        }
        for (label, values) in *labels {
            let told: BTreeSet<&str> = family.samples.iter().filter_map(|sample| sample.label(label)).collect();
            assert!(values == &["*"] || told == values.iter().copied().collect(), "{name} {label}: {told:?}");
        }
        assert!(!family.samples.is_empty(), "{name}");
    }
    let own = &stats.memory;
    for (name, expected) in [
        ("sqlite_native_memory_peak_bytes", own.peak_bytes),
        ("sqlite_native_memory_limit_bytes", 1 << 40),
        ("sqlite_native_allocs_total", own.allocations_total),
        ("sqlite_native_frees_total", own.frees_total),
        ("sqlite_native_reallocs_total", own.reallocations_total),
        ("sqlite_native_allocated_bytes_total", own.allocated_bytes_total),
        ("sqlite_native_allocation_size_bytes_count", own.allocations_total),
        ("sqlite_native_allocation_size_bytes_sum", own.allocated_bytes_total),
        ("sqlite_pager_cache_hits_total", stats.caches.pager_hits),
        ("sqlite_lookaside_hits_total", stats.caches.lookaside_hits),
        ("sqlite_pool_acquires_total", stats.pool_totals.acquired),
        ("process_resident_memory_bytes", stats.process.resident_bytes.unwrap()),
        ("process_open_fds", stats.process.descriptors.unwrap()),
        ("process_threads", stats.process.threads.unwrap()),
    ] {
        assert_eq!(metrics.value(name, &[]), expected as f64, "{name}");
    }
    for (state, count) in [("idle", 2.0), ("busy", 1.0), ("reserved", 1.0)] {
        assert_eq!(metrics.value("sqlite_pool_slots", &[("state", state)]), count, "{state}");
    }
    let build = [("finalite_version", finalite::workspace::VERSION), ("sqlite_version", finalite::sqlite::version())];
    assert_eq!(metrics.value("sqlite_build_info", &build), 1.0);
    // Element n of the histogram has what is greater than half of 2^n, and no more than that.
    let mut sum = 0;
    for (power, count) in own.size_histogram.iter().enumerate() {
        sum += count;
        let told = |bound: String| metrics.find("sqlite_native_allocation_size_bytes_bucket", &[("le", &bound)]);
        let bound = f64::from(1_u32 << power);
        assert_eq!(
            told(format!("{bound:?}")).or_else(|| told(format!("{bound}"))),
            Some(sum as f64),
            "{bound}\n{text}"
        );
    }
    // No limit, nothing about it.
    assert_eq!(metrics_of(&snapshot()).find("sqlite_native_memory_limit_bytes", &[]), None);

    let older = answer(&Options::new(), "/metrics");
    openmetrics::parse(&older, Format::Text).unwrap_or_else(|wrong| panic!("{wrong}\n{older}"));
    for (text, format) in [(&text, Format::OpenMetrics), (&older, Format::Text)] {
        for (n, damaged) in openmetrics::damaged(text, format).iter().enumerate() {
            assert!(openmetrics::parse(damaged, format).is_err(), "{format:?}, damage {n}");
        }
    }
    assert!(openmetrics::parse(&older, Format::OpenMetrics).is_err());
    assert!(openmetrics::parse(&text, Format::Text).is_err());
    savepoint.commit().unwrap();
    drop((reader, reserved));
}

fn a_collector_stands_beside_others() {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::registry::Registry;

    let scrape = |registry: &Registry| {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        openmetrics::parse(&text, Format::OpenMetrics).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
    };
    let requests: Counter = Counter::default();
    let mut registry = Registry::default();
    registry.register("app_requests", "Requests", requests.clone());
    registry.register_collector(Box::new(Collector::new()));
    requests.inc_by(7);
    let conn = named("scraped");
    let first = scrape(&registry);
    assert_eq!(first.value("app_requests_total", &[]), 7.0);
    assert_eq!(first.value("sqlite_handles", &[("kind", "connection")]), 1.0);
    assert_eq!(first.value("sqlite_native_memory_bytes", &[]), conn.memory().bytes as f64);
    assert!(!first.0.iter().any(|family| family.name.starts_with("process_")), "another collector may tell them");
    drop(conn);
    // Each scrape looks anew.
    assert_eq!(scrape(&registry).value("sqlite_handles", &[("kind", "connection")]), 0.0);

    let mut registry = Registry::with_prefix("app");
    registry.register_collector(Box::new(Collector::new().process(true)));
    assert!(scrape(&registry).value("app_process_threads", &[]) >= 1.0);
}

// ---- answers

fn answer(options: &Options, path: &str) -> String {
    let answer = options.respond(&Method::GET, path, &HeaderMap::new());
    assert_eq!(answer.status(), 200, "{path}");
    String::from_utf8(answer.into_body()).unwrap()
}

fn nothing_of_the_data_is_told() {
    let conn = named("private");
    conn.execute_batch("CREATE TABLE salaries(who, much)").unwrap();
    conn.execute("INSERT INTO salaries VALUES (?, 'LITERAL')", ("BOUND",)).unwrap();
    let mut statement = conn.prepare("SELECT * FROM salaries WHERE who = ? AND much = 'LITERAL'").unwrap();
    let mut rows = statement.query(("BOUND",)).unwrap();
    assert!(rows.next().unwrap().is_some());
    let long = format!("SELECT '{}', 'BEYOND'", "é".repeat(130));
    let long = conn.prepare(&long).unwrap();
    let forgetful = named("forgetful");
    forget(forgetful.prepare("SELECT 'LITERAL of the forgotten' FROM (SELECT 'salaries')").unwrap());
    drop(forgetful);
    assert!(Connection::open("/nowhere/BOUND").is_err());
    drop(snapshot());
    rows.next().unwrap();

    let stats = snapshot();
    let (closed, open) = (Options::new(), Options::new().expose_sql(true));
    let paths = ["/memory.json", "/history.json", "/handles.json", "/handles.txt", "/metrics", "/"];
    let mut hidden = vec![stats.to_json(), to_openmetrics(&stats)];
    hidden.extend(paths.map(|path| answer(&closed, path)));
    for text in &hidden {
        for word in ["LITERAL", "BOUND", "BEYOND", "salaries", "SELECT * FROM"] {
            assert!(!text.contains(word), "{word} is in {text}");
        }
    }
    // The same check finds what is shown on demand: SQL, and what stands in it; never what was bound.
    for text in [stats.to_json_with_sql(), answer(&open, "/memory.json"), answer(&open, "/handles.json")] {
        assert!(text.contains("SELECT * FROM salaries WHERE who = ? AND much = 'LITERAL'"), "{text}");
        assert!(!text.contains("BOUND") && !text.contains("BEYOND"), "{text}");
    }
    assert!(stats.to_json_with_sql().contains("LITERAL of the forgotten"));
    for path in ["/handles.txt", "/metrics"] {
        assert!(!answer(&open, path).contains("LITERAL"), "{path}");
    }
    drop(long);
}

/// A key that is renamed there and not in the page leaves a part of the page empty.
fn the_page_reads_the_keys_of_the_json() {
    fn collect(value: &Value, keys: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                keys.insert(key.clone());
                collect(value, keys);
            }),
            Value::Array(items) => items.iter().for_each(|item| collect(item, keys)),
            _ => (),
        }
    }
    // With something in each part of it.
    let dir = tempfile::tempdir().unwrap();
    fill(&dir.path().join("a.db"), 10);
    let pool = Arc::new(Pool::builder(dir.path().join("a.db")).readers(1).reserved(1).build().unwrap());
    let checkpointer = Checkpointer::start(&pool, Duration::from_millis(1)).unwrap();
    while pool.status().checkpoint.is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    drop(checkpointer);
    let slow = OpenOptions::new().slow_threshold(Some(Duration::ZERO)).open_in_memory().unwrap();
    assert!(slow.exists("SELECT 1", ()).unwrap());
    let reader = pool.reader().unwrap();
    let mut statement = reader.prepare("SELECT * FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    drop(snapshot());
    rows.next().unwrap();
    let stranger = Stranger::share(&dir.path().join("a.db"), Connection::open(dir.path().join("a.db")).unwrap());
    let json = snapshot().to_json_with_sql();
    let mut keys = BTreeSet::new();
    collect(&serde_json::from_str(&json).unwrap(), &mut keys);
    for part in ["lent_at", "running_ms", "schema", "sql", "forgotten_last", "orphaned", "blocks", "took_us", "took_ms"]
    {
        assert!(keys.contains(part), "{part} is not in {json}");
    }
    drop(stranger);

    // Kinds, reasons and codes are listed by the page as they come.
    let kinds = HandleKind::ALL.iter().map(|kind| kind.name());
    let listed: Vec<&str> = kinds.chain(DestroyReason::ALL.iter().map(|reason| reason.name())).collect();
    keys.retain(|key| !listed.contains(&key.as_str()) && !key.starts_with("SQLITE_"));
    keys.retain(|key| !["none", "lookaside_used"].contains(&key.as_str()));
    let (_, script) = include_str!("../../src/page.html").split_once("<script>").unwrap();
    let words: Vec<&str> = script.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let unread: Vec<&String> = keys.iter().filter(|key| !words.contains(&key.as_str())).collect();
    assert!(keys.len() > 80, "{}: {keys:?}", keys.len());
    assert_eq!(unread, [""; 0], "keys of the JSON that the page does not read");
    assert!(!words.contains(&"lookaside_unused"), "the control");
}
