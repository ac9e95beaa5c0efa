//! What is sent to `tracing`: target, level and fields of each event.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::Duration;

use finalite::{Connection, OpenOptions};
use tracing::field::{Field, Visit};

/// Keeps every event as a line.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Recorder {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let line =
            format!("{} {}: {}{}", event.metadata().level(), event.metadata().target(), line.message, line.fields);
        self.0.lock().unwrap().push(line);
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        panic!("a span: {span:?}");
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => write!(self.message, "{value:?}").unwrap(),
            name => write!(self.fields, " {name}={value:?}").unwrap(),
        }
    }
}

/// To be called before somebody listens. An event that another thread sends for the first time, just while the first
/// listener comes, may be off from then on: `tracing` finds out who wants it before it is on the list of those that are
/// asked again. So the common ones are sent once when nobody listens, and who is at it has time to end.
pub fn send_first_events() {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        let options = OpenOptions::new().slow_threshold(Some(Duration::ZERO));
        let conn = options.open_in_memory().unwrap();
        conn.execute("SELECT 1", ()).unwrap();
        conn.prepare_cached("SELECT 2").unwrap().query_one::<i64>(()).unwrap();
        conn.close().unwrap();
        thread::sleep(Duration::from_millis(200));
    });
}

/// The events that are sent while this runs: `LEVEL target: message field=value …`.
pub fn events_of(run: impl FnOnce()) -> Vec<String> {
    send_first_events();
    let recorder = Recorder::default();
    tracing::subscriber::with_default(recorder.clone(), run);
    std::mem::take(&mut *recorder.0.lock().unwrap())
}

#[test]
fn opening_and_closing_are_told_with_the_place() {
    let mut here = String::new();
    let events = events_of(|| {
        here = format!("opened_at={}:{}:", file!(), line!() + 1);
        let conn = Connection::open_in_memory().unwrap();
        conn.close().unwrap();
    });
    let [opened, closed] = &events[..] else { panic!("{events:#?}") };
    assert!(opened.starts_with("DEBUG finalite::open: open connection="), "{opened}");
    assert!(closed.starts_with("DEBUG finalite::open: close connection="), "{closed}");
    for event in [opened, closed] {
        assert!(event.contains(&here), "{event}, not {here}");
    }
    let connection = |event: &str| event.split_once("connection=").unwrap().1.split(' ').next().unwrap().to_owned();
    assert_eq!(connection(opened), connection(closed));
}

#[test]
fn preparing_running_and_caching_are_told() {
    let conn = OpenOptions::new().statement_cache_limits(1, 1 << 20).open_in_memory().unwrap();
    let events = events_of(|| {
        conn.query_one::<i64>("SELECT ?", (1,)).unwrap();
        conn.query_one::<i64>("SELECT ?", (2,)).unwrap();
        conn.query_one::<i64>("SELECT 3", ()).unwrap();
    });
    assert_eq!(
        events,
        [
            "DEBUG finalite::statement: prepared sql=\"SELECT ?\"",
            "TRACE finalite::cache: miss sql=\"SELECT ?\"",
            "TRACE finalite::statement: run sql=\"SELECT ?\"",
            "TRACE finalite::statement: run sql=\"SELECT ?\"",
            "DEBUG finalite::statement: prepared sql=\"SELECT 3\"",
            "TRACE finalite::cache: miss sql=\"SELECT 3\"",
            "TRACE finalite::statement: run sql=\"SELECT 3\"",
            "TRACE finalite::cache: evicted sql=\"SELECT ?\"",
        ]
    );
}
