//! The endpoint: what it answers, in axum and on its own, to whom, and what is left when it stops.
//!
//! It compares what the whole process holds: so there is one test, which takes one case after the other. It reads of
//! Linux what sockets there are.
#![cfg(target_os = "linux")]

mod answers;
mod client;
mod history;
mod hostile;
mod load;
mod openmetrics;
mod routing;
mod serving;
mod stopping;

use std::panic::catch_unwind;

use finalite::ProcessSnapshot;
use finalite::handles::{self, TrackingLevel};

type Case = (&'static str, fn());

/// How often: the second number with `FINALITE_LONG_RUN`.
fn times(short: usize, long: usize) -> usize {
    if std::env::var_os("FINALITE_LONG_RUN").is_some() { long } else { short }
}

#[test]
fn the_endpoint_answers_and_leaves_nothing() {
    handles::set_level(TrackingLevel::Records);
    // What a process makes once is made before.
    drop(finalite_endpoint::serve("127.0.0.1:0").unwrap());
    drop(finalite::Connection::open_in_memory().unwrap());
    let groups =
        [answers::CASES, history::CASES, routing::CASES, serving::CASES, stopping::CASES, hostile::CASES, load::CASES];
    let mut failed = Vec::new();
    for (name, case) in groups.into_iter().flatten() {
        let before = ProcessSnapshot::now();
        if catch_unwind(case).is_err() {
            eprintln!("in the case «{name}»");
            failed.push(*name);
        } else {
            serving::until(|| ProcessSnapshot::now().threads <= before.threads);
            assert_eq!(ProcessSnapshot::now(), before, "«{name}» cleans up");
        }
    }
    assert!(failed.is_empty(), "these cases failed: {failed:?}");
}
