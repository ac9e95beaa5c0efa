//! Snapshots as metrics, for Prometheus and other readers of OpenMetrics, encoded by the crate `prometheus-client`.
//!
//! Conventions: one prefix, base units in the name, counters end in `_total`, and no label with an unbounded set of
//! values; ids and SQL are only in the JSON.

use std::fmt::{Error, Write};
use std::time::Duration;

use finalite::handles::{HandleCounts, HandleKind};
use finalite::pool::{DestroyReason, Role};
use finalite::stats::{Stats, TimeHistogram, snapshot};
use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::{Registry, Unit};

type Encoded = Result<(), Error>;

/// Collector for the program's own [`Registry`]: each scrape takes a [`snapshot`].
///
/// # Example
///
/// ```
/// use finalite::Connection;
/// use prometheus_client::{encoding::text::encode, registry::Registry};
///
/// let mut registry = Registry::default();
/// registry.register_collector(Box::new(finalite_endpoint::Collector::new()));
///
/// let conn = Connection::open_in_memory()?;
/// let mut scraped = String::new();
/// encode(&mut scraped, &registry)?;
/// assert!(scraped.contains("\nsqlite_handles{kind=\"connection\"} 1\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Collector {
    has_process: bool,
}

impl Collector {
    /// Returns a collector of SQLite's figures only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether the process's resident memory, descriptors and threads are collected too, under their usual names
    /// (`process_resident_memory_bytes` and so on). Off by default, because another collector of the program may
    /// provide them.
    #[must_use]
    pub fn process(mut self, on: bool) -> Self {
        self.has_process = on;
        self
    }
}

impl collector::Collector for Collector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Encoded {
        Metrics { encoder }.stats(&snapshot(), self.has_process)
    }
}

/// One snapshot, for the registry that `to_openmetrics` creates.
#[derive(Debug)]
struct Once(Stats);

impl collector::Collector for Once {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Encoded {
        Metrics { encoder }.stats(&self.0, true)
    }
}

/// Returns a snapshot as OpenMetrics 1.0 text (`application/openmetrics-text; version=1.0.0; charset=utf-8`), including
/// the figures of the process.
///
/// # Example
///
/// ```
/// use finalite::stats;
///
/// let text = finalite_endpoint::to_openmetrics(&stats::snapshot());
/// assert!(text.contains("\n# UNIT sqlite_native_memory_bytes bytes\n"));
/// assert!(text.ends_with("# EOF\n"));
/// ```
#[must_use]
pub fn to_openmetrics(stats: &Stats) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Once(stats.clone())));
    let mut text = String::new();
    // Writing to a string does not fail, and the collector returns no error of its own.
    let _ = text::encode(&mut text, &registry);
    text
}

/// Returns a snapshot in the older Prometheus text format 0.0.4, for clients that do not accept OpenMetrics. That
/// format has no units, no end marker and no type `info`, and its counters are declared under the name of their sample.
pub(crate) fn to_text(stats: &Stats) -> String {
    let openmetrics = to_openmetrics(stats);
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        let line = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), Some(about)) => {
                help = Some(about);
                continue;
            }
            (Some("#"), Some("TYPE"), Some(name), Some(of)) => {
                let (suffix, of) = match of {
                    "counter" => ("_total", of),
                    "info" => ("_info", "gauge"),
                    _ => ("", of),
                };
                let help = help.take().unwrap_or_default();
                &format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {of}")
            }
            (Some("#"), ..) => continue,
            _ => line,
        };
        text.push_str(line);
        text.push('\n');
    }
    text
}

struct Metrics<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Metrics<'_> {
    fn stats(&mut self, stats: &Stats, has_process: bool) -> Encoded {
        self.native_memory(stats)?;
        self.handles(stats)?;
        self.caches(stats)?;
        self.activity(stats)?;
        self.pools(stats)?;
        self.provided(stats)?;
        self.info(stats)?;
        if has_process {
            self.process(stats)?;
        }
        Ok(())
    }

    fn native_memory(&mut self, stats: &Stats) -> Encoded {
        let memory = &stats.memory;
        self.gauge("sqlite_native_memory", "Bytes that SQLite holds", BYTES, &memory.bytes)?;
        self.gauge("sqlite_native_memory_peak", "The most bytes that SQLite held", BYTES, &memory.peak_bytes)?;
        if let Some(limit) = memory.limit_bytes {
            self.gauge("sqlite_native_memory_limit", "Bytes that SQLite may hold", BYTES, &limit)?;
        }
        self.gauge("sqlite_native_allocations", "Blocks that SQLite holds", NO_UNIT, &memory.blocks)?;
        let about = "Bytes that belong to no connection of finalite's";
        self.gauge("sqlite_native_unattributed", about, BYTES, &memory.unattributed_bytes)?;
        let about = "Bytes that closed connections left behind, with no connection open that could share them";
        self.gauge("sqlite_native_orphaned", about, BYTES, &memory.orphaned_bytes)?;
        let about = "Bytes allocated, and added by reallocations";
        self.counter("sqlite_native_allocated", about, BYTES, memory.allocated_bytes_total)?;
        self.counter("sqlite_native_allocs", "Blocks allocated", NO_UNIT, memory.allocations_total)?;
        self.counter("sqlite_native_frees", "Blocks freed", NO_UNIT, memory.frees_total)?;
        let about = "Blocks made larger or smaller";
        self.counter("sqlite_native_reallocs", about, NO_UNIT, memory.reallocations_total)?;
        let failures = [
            ("oom", memory.failures_system_total),
            ("limit", memory.failures_limit_total),
            ("injected", memory.failures_injected_total),
        ];
        self.counters("sqlite_native_alloc_failures", "Allocations that failed", "reason", failures)?;
        self.sizes(stats)
    }

    fn sizes(&mut self, stats: &Stats) -> Encoded {
        let memory = &stats.memory;
        let bounds = (0..memory.size_histogram.len()).map(|power| f64::from(1_u32 << power));
        let mut buckets: Vec<(f64, u64)> = bounds.zip(memory.size_histogram).collect();
        buckets.push((f64::INFINITY, 0));
        let about = "Allocations by size; the sum includes what reallocations added";
        let mut encoder = self.describe("sqlite_native_allocation_size", about, BYTES, MetricType::Histogram)?;
        let count = memory.size_histogram.iter().sum();
        encoder.encode_histogram::<NoLabelSet>(float(memory.allocated_bytes_total), count, &buckets, None)
    }

    fn handles(&mut self, stats: &Stats) -> Encoded {
        let by_kind = |counts: &HandleCounts| HandleKind::ALL.map(|kind| (kind.name(), counts.of(kind)));
        self.gauges("sqlite_handles", "Handles that are open", NO_UNIT, "kind", by_kind(&stats.open))?;
        self.counters("sqlite_handles_opened", "Handles opened", "kind", by_kind(&stats.opened))?;
        self.counters("sqlite_handles_closed", "Handles closed", "kind", by_kind(&stats.closed))?;
        let about = "Handles forgotten, and found and ended by finalite";
        self.counters("sqlite_handles_forgotten", about, "kind", by_kind(&stats.forgotten))?;
        let oldest = stats.oldest().into_iter().map(|(kind, age)| (kind.name(), age.as_secs_f64()));
        let about = "How long the oldest handle that is recorded has been open";
        self.gauges("sqlite_oldest_handle_age", about, SECONDS, "kind", oldest)?;
        let about = "Connections that could not be opened";
        self.counters("sqlite_open_failures", about, "code", stats.open_failures.iter().copied())?;
        let about = "Connections that could not be closed";
        self.counters("sqlite_close_failures", about, "code", stats.close_failures.iter().copied())
    }

    fn caches(&mut self, stats: &Stats) -> Encoded {
        let figures = || stats.connections.iter().filter_map(|conn| conn.figures);
        let components = [
            ("pager", figures().map(|figures| figures.page_cache_bytes).sum::<u64>()),
            ("schema", figures().map(|figures| figures.schema_bytes).sum()),
            ("statements", figures().filter_map(|figures| figures.statement_bytes).sum()),
            ("lookaside_reserved", stats.connections.iter().map(|conn| conn.lookaside_bytes).sum()),
        ];
        let about = "Bytes by what SQLite uses them for, as connections last told";
        self.gauges("sqlite_db_memory", about, BYTES, "component", components)?;
        let caches = &stats.caches;
        let about = "Allocations served from lookaside";
        self.counter("sqlite_lookaside_hits", about, NO_UNIT, caches.lookaside_hits)?;
        let misses = [("size", caches.lookaside_misses_size), ("full", caches.lookaside_misses_full)];
        self.counters("sqlite_lookaside_misses", "Allocations that lookaside could not serve", "reason", misses)?;
        self.counter("sqlite_pager_cache_hits", "Pages found in a cache", NO_UNIT, caches.pager_hits)?;
        self.counter("sqlite_pager_cache_misses", "Pages read from a file", NO_UNIT, caches.pager_misses)?;
        self.counter("sqlite_pager_cache_writes", "Pages written to a file", NO_UNIT, caches.pager_writes)?;
        let about = "Pages written within a transaction to make room";
        self.counter("sqlite_pager_cache_spills", about, NO_UNIT, caches.pager_spills)?;
        let about = "Bytes of sorts and temporary tables written to files";
        self.counter("sqlite_tempbuf_spill", about, BYTES, caches.tempbuf_spill_bytes)?;
        let oldest = figures().map(|figures| figures.age).max().unwrap_or_default();
        let about = "How long ago the connection told its figures that did so longest ago";
        self.gauge("sqlite_snapshot_age", about, SECONDS, &oldest.as_secs_f64())
    }

    fn activity(&mut self, stats: &Stats) -> Encoded {
        let activity = &stats.activity;
        self.counter("sqlite_executions", "Executions of statements", NO_UNIT, activity.executions)?;
        self.counter("sqlite_commits", "Transactions committed", NO_UNIT, activity.commits)?;
        let about = "Calls that failed because of another connection's lock";
        self.counter("sqlite_busy", about, NO_UNIT, activity.busy)?;
        let about = "Pauses before another attempt to get a lock";
        self.counter("sqlite_lock_retries", about, NO_UNIT, activity.lock_retries)?;
        let about = "Time of the pauses before another attempt to get a lock";
        self.seconds("sqlite_lock_retry_wait", about, activity.lock_retry_wait)?;
        self.counter("sqlite_slow", "Slow executions", NO_UNIT, activity.slow)?;
        let about = "Times of executions, from the first step to the reset";
        self.times("sqlite_execution_times", about, &activity.execution_times)?;
        self.times("sqlite_commit_times", "Times of COMMIT and RELEASE", &activity.commit_times)?;
        let about = "Times of BEGIN IMMEDIATE and BEGIN EXCLUSIVE, which wait for the lock for writing";
        self.times("sqlite_write_lock_times", about, &activity.write_lock_times)?;
        let wal_bytes: u64 = stats.databases.iter().filter_map(|database| database.wal_bytes).sum();
        self.gauge("sqlite_wal", "Bytes of write-ahead logs", BYTES, &wal_bytes)
    }

    fn times(&mut self, name: &str, about: &str, times: &TimeHistogram) -> Encoded {
        let bound = |element| TimeHistogram::bound(element).map_or(f64::INFINITY, |bound| bound.as_secs_f64());
        let buckets: Vec<(f64, u64)> = times.counts.iter().enumerate().map(|(n, &count)| (bound(n), count)).collect();
        let mut encoder = self.describe(name, about, SECONDS, MetricType::Histogram)?;
        encoder.encode_histogram::<NoLabelSet>(times.sum.as_secs_f64(), times.count(), &buckets, None)
    }

    fn pools(&mut self, stats: &Stats) -> Encoded {
        let roles = || stats.pools.iter().flat_map(|pool| &pool.roles);
        let is_lent = |role: Role| role != Role::Reserved;
        let sum = |counts: &mut dyn Iterator<Item = usize>| counts.sum::<usize>() as u64;
        let states = [
            ("idle", sum(&mut roles().map(|role| role.idle))),
            ("busy", sum(&mut roles().filter(|role| is_lent(role.role)).map(|role| role.checked_out.len()))),
            ("reserved", sum(&mut roles().filter(|role| !is_lent(role.role)).map(|role| role.checked_out.len()))),
        ];
        self.gauges("sqlite_pool_slots", "Places for connections in pools", NO_UNIT, "state", states)?;
        let waiting = sum(&mut roles().map(|role| role.waiting));
        self.gauge("sqlite_pool_waiting", "Callers that wait for a connection", NO_UNIT, &waiting)?;
        let totals = &stats.pool_totals;
        self.counter("sqlite_pool_acquires", "Connections lent", NO_UNIT, totals.acquired)?;
        let about = "Callers that waited for a connection for too long";
        self.counter("sqlite_pool_acquire_timeouts", about, NO_UNIT, totals.timeouts)?;
        let about = "Callers that waited for a connection";
        self.counter("sqlite_pool_waits", about, NO_UNIT, totals.waits)?;
        self.seconds("sqlite_pool_wait", "Time that callers waited for a connection", totals.wait)?;
        let checkpoints = [
            ("done", totals.checkpoints),
            ("skipped", totals.checkpoints_skipped),
            ("failed", totals.checkpoints_failed),
        ];
        self.counters("sqlite_checkpoints", "Turns of checkpointers", "result", checkpoints)?;
        let last = || stats.pools.iter().filter_map(|pool| pool.checkpoint);
        let frames = [
            ("checkpointed", last().map(|last| last.checkpointed).sum::<u64>()),
            ("left", last().map(|last| last.frames.saturating_sub(last.checkpointed)).sum()),
        ];
        let about = "Frames of the write-ahead log at the last checkpoint of each pool";
        self.gauges("sqlite_checkpoint_frames", about, NO_UNIT, "state", frames)?;
        let destroyed = DestroyReason::ALL.map(|reason| (reason.name(), totals.destroyed[reason as usize]));
        let about = "Connections closed instead of lent again";
        self.counters("sqlite_pool_destroyed", about, "reason", destroyed)?;
        let failed = totals.destroyed[DestroyReason::RollbackFailed as usize];
        let about = "Connections that came back in a transaction that could not be rolled back";
        self.counter("sqlite_pool_rollback_failures", about, NO_UNIT, failed)
    }

    /// Figures of other crates, without their parts, which are unbounded.
    fn provided(&mut self, stats: &Stats) -> Encoded {
        for stat in &stats.provided {
            let (name, unit) = match stat.name.strip_suffix("_bytes") {
                Some(name) => (name, BYTES),
                None => (stat.name, NO_UNIT),
            };
            if stat.is_total {
                self.counter(name, stat.about, unit, stat.value)?;
            } else {
                self.gauge(name, stat.about, unit, &stat.value)?;
            }
        }
        Ok(())
    }

    fn info(&mut self, stats: &Stats) -> Encoded {
        let about = "Threads that finalite started";
        self.gauge("sqlite_background_threads", about, NO_UNIT, &stats.process.background_threads)?;
        let has_management = finalite::sqlite::compile_options().any(|option| option == "ENABLE_MEMORY_MANAGEMENT");
        let allocator = [
            ("mode", stats.memory.mode.name()),
            ("backend", stats.memory.backend.name()),
            ("memory_management", if has_management { "on" } else { "off" }),
            ("sqlite_version", finalite::sqlite::version()),
        ];
        let about = "Who allocates SQLite's memory";
        self.describe("sqlite_allocator", about, NO_UNIT, MetricType::Info)?.encode_info(&allocator)?;
        let build =
            [("finalite_version", finalite::workspace::VERSION), ("sqlite_version", finalite::sqlite::version())];
        self.describe("sqlite_build", "What the program is built of", NO_UNIT, MetricType::Info)?.encode_info(&build)
    }

    fn process(&mut self, stats: &Stats) -> Encoded {
        let process = &stats.process;
        if let Some(bytes) = process.resident_bytes {
            self.gauge("process_resident_memory", "Resident memory", BYTES, &bytes)?;
        }
        if let Some(descriptors) = process.descriptors {
            self.gauge("process_open_fds", "Open file descriptors", NO_UNIT, &descriptors)?;
        }
        if let Some(threads) = process.threads {
            self.gauge("process_threads", "Threads", NO_UNIT, &threads)?;
        }
        Ok(())
    }

    fn describe<'s>(
        &'s mut self,
        name: &'s str,
        about: &str,
        unit: Option<&'s Unit>,
        of: MetricType,
    ) -> Result<MetricEncoder<'s>, Error> {
        let mut help = String::from(about);
        help.write_char('.')?;
        self.encoder.encode_descriptor(name, &help, unit, of)
    }

    fn gauge(&mut self, name: &str, about: &str, unit: Option<&Unit>, value: &impl EncodeGaugeValue) -> Encoded {
        self.describe(name, about, unit, MetricType::Gauge)?.encode_gauge(value)
    }

    fn gauges<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        about: &str,
        unit: Option<&Unit>,
        label: &str,
        values: impl IntoIterator<Item = (&'static str, V)>,
    ) -> Encoded {
        let mut encoder = self.describe(name, about, unit, MetricType::Gauge)?;
        for (of, value) in values {
            encoder.encode_family(&[(label, of)])?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, about: &str, unit: Option<&Unit>, value: u64) -> Encoded {
        let encoder = self.describe(name, about, unit, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn seconds(&mut self, name: &str, about: &str, value: Duration) -> Encoded {
        let encoder = self.describe(name, about, SECONDS, MetricType::Counter)?;
        ConstCounter::new(value.as_secs_f64()).encode(encoder)
    }

    fn counters(
        &mut self,
        name: &str,
        about: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Encoded {
        let mut encoder = self.describe(name, about, NO_UNIT, MetricType::Counter)?;
        for (of, value) in values {
            ConstCounter::new(value).encode(encoder.encode_family(&[(label, of)])?)?;
        }
        Ok(())
    }
}

const BYTES: Option<&Unit> = Some(&Unit::Bytes);
const SECONDS: Option<&Unit> = Some(&Unit::Seconds);
const NO_UNIT: Option<&Unit> = None;

/// Converts to floating point, as Prometheus represents numbers: values above 2^53 are rounded.
fn float(number: u64) -> f64 {
    let [a, b, c, d, low @ ..] = number.to_be_bytes();
    let high = u32::from_be_bytes([a, b, c, d]);
    f64::from(high) * 4_294_967_296.0 + f64::from(u32::from_be_bytes(low))
}
