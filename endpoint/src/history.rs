//! Samples of the last 15 minutes, which a page that is opened shows at once.
//!
//! They are taken by a task, not by a thread: the server's task runs on its own runtime and ends with it; that of a
//! router runs on the program's runtime, from the call of `router` or the first request on, and ends with the router.

use std::collections::VecDeque;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, UNIX_EPOCH};

use finalite::handles::{HandleCounts, HandleKind};
use finalite::stats::{self, Stats, TimeHistogram};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{self, MissedTickBehavior};

use crate::Served;

/// Time between two samples.
const EVERY: Duration = Duration::from_secs(3);
/// Number of samples: 15 minutes.
const SAMPLES_MAX: usize = 300;

/// Samples, the oldest first. Each is an object in JSON.
#[derive(Debug, Default)]
pub(crate) struct History {
    samples: Mutex<VecDeque<Box<str>>>,
    task: Mutex<Task>,
}

#[derive(Debug, Default)]
enum Task {
    #[default]
    None,
    Runs(AbortHandle),
    /// The runtime has no timer.
    CannotRun,
}

impl History {
    fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, stats: &Stats) {
        let sample = sample(stats);
        let mut samples = Self::lock(&self.samples);
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Returns the samples as one JSON object. Without any, a new one is returned.
    pub(crate) fn to_json(&self) -> String {
        let samples = Self::lock(&self.samples);
        let list = match samples.len() {
            0 => sample(&stats::snapshot()).into(),
            _ => samples.iter().map(|sample| &**sample).collect::<Vec<_>>().join(","),
        };
        format!(r#"{{"every_ms":{},"samples":[{list}]}}"#, EVERY.as_millis())
    }
}

impl Drop for History {
    fn drop(&mut self) {
        if let Task::Runs(task) = &*Self::lock(&self.task) {
            task.abort();
        }
    }
}

/// Starts the task on the current runtime, unless it runs, there is no runtime, or no history is wanted.
pub(crate) fn keep(served: &Arc<Served>) {
    let Some(history) = &served.history else {
        return;
    };
    let mut task = History::lock(&history.task);
    let is_needed = match &*task {
        Task::None => true,
        // The runtime on which it ran may have ended.
        Task::Runs(task) => task.is_finished(),
        Task::CannotRun => false,
    };
    if is_needed && let Ok(runtime) = Handle::try_current() {
        *task = Task::Runs(runtime.spawn(take(Arc::downgrade(served))).abort_handle());
    }
}

/// Takes samples until the owner of the history is gone.
async fn take(served: Weak<Served>) {
    // A runtime that is built without `enable_time` has no timer, which tokio tells by a panic only.
    let Ok(mut ticks) = catch_unwind(AssertUnwindSafe(|| time::interval(EVERY))) else {
        tracing::warn!(target: "finalite::endpoint", "the runtime has no timer: there is no history");
        if let Some(history) = served.upgrade().as_ref().and_then(|served| served.history.as_ref()) {
            *History::lock(&history.task) = Task::CannotRun;
        }
        return;
    };
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(served) = served.upgrade() else {
            return;
        };
        if let Some(history) = &served.history {
            history.add(&stats::snapshot());
        }
    }
}

/// Returns the part of `/memory.json` that the charts of the page show. What that has for each pool and each database
/// is added up here.
fn sample(stats: &Stats) -> Box<str> {
    let taken_at_ms = stats.taken_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let (memory, caches, activity) = (&stats.memory, &stats.caches, &stats.activity);
    let roles = || stats.pools.iter().flat_map(|pool| &pool.roles);
    let wal_bytes: u64 = stats.databases.iter().filter_map(|database| database.wal_bytes).sum();
    let mut text = format!(
        concat!(
            r#"{{"taken_at_ms":{},"allocator":{{"mode":"{}"}},"native":{{"bytes":{},"peak_bytes":{},"live":{},"#,
            r#""limit_bytes":{},"allocs":{},"allocated_bytes":{}}},"process":{{"rss_bytes":{}}},"#,
            r#""handles":{{"open":{},"opened":{}}},"cache":{{"pager_hits":{},"pager_misses":{},"lookaside_hits":{},"#,
            r#""lookaside_misses_size":{},"lookaside_misses_full":{}}},"databases":[{{"wal_bytes":{}}}],"#,
            r#""pools":[{{"roles":[{{"waits":{},"wait_us":{},"timeouts":{}}}]}}],"#,
            r#""activity":{{"executions":{},"commits":{},"busy":{},"slow":{},"lock_retries":{},"lock_retry_wait_us":{}"#,
        ),
        taken_at_ms,
        memory.mode.name(),
        memory.bytes,
        memory.peak_bytes,
        memory.blocks,
        or_null(memory.limit_bytes),
        memory.allocations_total,
        memory.allocated_bytes_total,
        or_null(stats.process.resident_bytes),
        kinds(&stats.open),
        kinds(&stats.opened),
        caches.pager_hits,
        caches.pager_misses,
        caches.lookaside_hits,
        caches.lookaside_misses_size,
        caches.lookaside_misses_full,
        wal_bytes,
        roles().map(|role| role.waits_total).sum::<u64>(),
        roles().map(|role| role.wait_total.as_micros()).sum::<u128>(),
        roles().map(|role| role.timeouts_total).sum::<u64>(),
        activity.executions,
        activity.commits,
        activity.busy,
        activity.slow,
        activity.lock_retries,
        activity.lock_retry_wait.as_micros(),
    );
    for (name, times) in [
        ("execution_times", &activity.execution_times),
        ("commit_times", &activity.commit_times),
        ("write_lock_times", &activity.write_lock_times),
    ] {
        add_times(&mut text, name, times);
    }
    text.push_str("}}");
    text.into()
}

fn add_times(text: &mut String, name: &str, times: &TimeHistogram) {
    let counts = times.counts.map(|count| count.to_string()).join(",");
    let _ = write!(text, r#","{name}":{{"counts":[{counts}],"sum_us":{}}}"#, times.sum.as_micros());
}

/// Returns the counts as a JSON object.
pub(crate) fn kinds(counts: &HandleCounts) -> String {
    let kinds = HandleKind::ALL.map(|kind| format!("\"{}\":{}", kind.name(), counts.of(kind)));
    format!("{{{}}}", kinds.join(","))
}

fn or_null(number: Option<u64>) -> String {
    number.map_or_else(|| "null".into(), |number| number.to_string())
}
