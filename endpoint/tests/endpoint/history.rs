//! `/history.json`: what a page shows that is opened late; and that nothing takes samples or times when nobody serves.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use axum::Router;
use finalite::{Connection, stats};
use finalite_endpoint::{Options, respond, router};
use http::{HeaderMap, Method};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::Case;
use crate::client::get;
use crate::serving::{started, until};

pub const CASES: &[Case] = &[
    ("history", servers_and_routers_keep_samples),
    ("a runtime without a timer", a_runtime_without_a_timer_has_no_history),
    ("no history", without_a_history_there_is_the_moment),
    ("times", executions_are_timed_while_it_serves),
];

fn samples(address: SocketAddr) -> Vec<Value> {
    let answer = get(address, "/history.json");
    answer.check("/history.json").unwrap();
    answer.json()["samples"].as_array().unwrap().clone()
}

fn taken_at(value: &Value) -> u64 {
    value["taken_at_ms"].as_u64().unwrap()
}

/// Whether each key of a sample is one of the report, with a value of the same kind. Of an array the first is looked at.
fn is_part_of(sample: &Value, report: &Value) -> bool {
    match (sample, report) {
        (Value::Object(sample), Value::Object(report)) => {
            sample.iter().all(|(key, value)| report.get(key).is_some_and(|other| is_part_of(value, other)))
        }
        (Value::Array(sample), Value::Array(report)) => {
            sample.first().zip(report.first()).is_none_or(|(value, other)| is_part_of(value, other))
        }
        (Value::Number(_), Value::Null) | (Value::Null, Value::Number(_)) => true,
        _ => std::mem::discriminant(sample) == std::mem::discriminant(report),
    }
}

fn servers_and_routers_keep_samples() {
    let dir = tempfile::tempdir().unwrap();
    let pool = finalite::pool::Pool::builder(dir.path().join("a.db")).build().unwrap();
    let endpoint = started();
    let threads = stats::snapshot().process.background_threads;
    // The one is made within its runtime; the task of the other begins with the first request.
    let early = router();
    let (within, end_within) = serve_in(runtime(), router);
    let (before, end_before) = serve_in(runtime(), || early);
    // The first sample is taken at once, others later.
    until(|| [endpoint.address(), within, before].iter().all(|&address| !samples(address).is_empty()));
    pool.writer().unwrap().execute("CREATE TABLE t(a)", ()).unwrap();
    until(|| [endpoint.address(), within, before].iter().all(|&address| samples(address).len() >= 3));
    assert_eq!(stats::snapshot().process.background_threads, threads, "a router starts no thread");
    end_within();
    end_before();
    let samples = samples(endpoint.address());
    assert!(samples.is_sorted_by_key(taken_at) && taken_at(&samples[0]) < taken_at(&samples[1]));
    let commits = |sample: &Value| sample["activity"]["commits"].as_u64().unwrap();
    assert_eq!(commits(samples.last().unwrap()) - commits(&samples[0]), 1);
    let report = get(endpoint.address(), "/memory.json").json();
    assert!(taken_at(samples.last().unwrap()) <= taken_at(&report));
    assert!(is_part_of(&samples[0], &report), "{} {report}", samples[0]);
    // The control: another name, another kind.
    let mut damaged = samples[0].clone();
    damaged["activity"]["commits"] = "1".into();
    assert!(!is_part_of(&damaged, &report));
    let mut damaged = samples[0].clone();
    damaged["native"]["blocks"] = 1.into();
    assert!(!is_part_of(&damaged, &report));
    drop(pool);
}

/// Serves this in a runtime, until the sender is dropped.
fn serve_in(runtime: Runtime, app: impl FnOnce() -> Router + Send + 'static) -> (SocketAddr, impl FnOnce()) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let stopped = async { drop(stopped.await) };
            axum::serve(listener, app()).with_graceful_shutdown(stopped).await.unwrap();
        });
    });
    let end = || {
        drop(stop);
        thread.join().unwrap();
    };
    (address, end)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn a_runtime_without_a_timer_has_no_history() {
    let (address, end) = serve_in(Builder::new_current_thread().enable_io().build().unwrap(), router);
    for _ in 0..3 {
        assert_eq!(samples(address).len(), 1);
    }
    end();
}

fn without_a_history_there_is_the_moment() {
    let (address, end) = serve_in(runtime(), || Options::new().history(false).router());
    let first = samples(address);
    until(|| taken_at(&samples(address)[0]) > taken_at(&first[0]));
    assert_eq!(samples(address).len(), 1);
    end();
    let answer = respond(&Method::GET, "/history.json", &HeaderMap::new());
    let answer: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(answer["samples"].as_array().unwrap().len(), 1);
}

fn executions_are_timed_while_it_serves() {
    let conn = Connection::open_in_memory().unwrap();
    let timed = || {
        let count = || stats::snapshot().activity.execution_times.count();
        let before = count();
        // Of eight executions that only read, one is timed, and counts for eight.
        (0..8).for_each(|_| assert!(conn.exists("SELECT 1", ()).unwrap()));
        (count() - before) / 8
    };
    assert_eq!(timed(), 0);
    let endpoint = started();
    assert_eq!(timed(), 1);
    drop(endpoint);
    assert_eq!(timed(), 0);
    let app = router();
    assert_eq!(timed(), 1);
    drop(app);
    assert_eq!(timed(), 0);
    let endpoint = Options::new().timings(false).serve("127.0.0.1:0").unwrap();
    assert_eq!(timed(), 0);
    drop(endpoint);
    // A response alone asks for nothing.
    drop(respond(&Method::GET, "/memory.json", &HeaderMap::new()));
    assert_eq!(timed(), 0);
    // What a router's task holds ends with the router, and not with its next sample.
    let (_, end) = serve_in(runtime(), router);
    until(|| timed() == 1);
    end();
    assert_eq!(timed(), 0);
}
