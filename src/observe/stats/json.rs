//! Snapshots as JSON. The names are an interface: the page and other readers of `memory.json` depend on them.

use std::fmt::{Display, Write};
use std::time::{Duration, UNIX_EPOCH};

use super::{ActivityStats, ConnectionStats, DbStatus, Stats};
use crate::observe::handles::{ForgottenHandle, HandleCounts, HandleKind, OpenHandle};

/// Whether the SQL of statements is included. Bound values never are: no type here holds any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Privacy {
    /// A hash instead of the SQL, which distinguishes statements.
    HashSql,
    ShowSql,
}

/// Largest number of children listed per connection.
const CHILDREN_MAX: usize = 100;
/// Largest number of connections listed; those open longest come first.
const CONNECTIONS_MAX: usize = 500;

impl Stats {
    /// Returns the snapshot as one JSON object, without the SQL of statements.
    ///
    /// Names and units are those of the endpoint's `/memory.json`; an unknown number is `null`. The first 100 children
    /// of a connection are listed.
    ///
    /// # Example
    ///
    /// ```
    /// let json = finalite::stats::snapshot().to_json();
    /// assert!(json.starts_with(r#"{"taken_at_ms":"#) && json.contains(r#""native":{"bytes":"#));
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        write(|json| self.write(json, Privacy::HashSql))
    }

    /// Returns the snapshot as [`to_json`](Self::to_json) does, with the first 256 bytes of each statement's SQL.
    /// Literals in the SQL are shown, bound values are not.
    #[must_use]
    pub fn to_json_with_sql(&self) -> String {
        write(|json| self.write(json, Privacy::ShowSql))
    }

    fn write(&self, json: &mut Json, privacy: Privacy) {
        json.number("taken_at_ms", milliseconds(self.taken_at.duration_since(UNIX_EPOCH).unwrap_or_default()));
        json.text("finalite", env!("CARGO_PKG_VERSION"));
        json.text("sqlite", crate::sqlite::version());
        json.object("allocator", |json| {
            json.text("mode", self.memory.mode.name());
            json.text("backend", self.memory.backend.name());
        });
        json.object("native", |json| self.write_native(json));
        json.object("process", |json| {
            json.optional("rss_bytes", self.process.resident_bytes);
            json.optional("fds", self.process.descriptors);
            json.optional("threads", self.process.threads);
            json.number("background_threads", self.process.background_threads);
        });
        json.object("handles", |json| {
            for (name, counts) in [
                ("open", &self.open),
                ("opened", &self.opened),
                ("closed", &self.closed),
                ("forgotten", &self.forgotten),
                ("unrecorded", &self.unrecorded),
            ] {
                json.object(name, |json| json.kinds(counts));
            }
        });
        json.object("cache", |json| self.write_caches(json));
        json.object("activity", |json| write_activity(json, &self.activity));
        json.objects("slow_last", &self.slow_executions, |json, slow| {
            json.number("connection", slow.connection);
            json.text("prepared_at", &slow.prepared_at.to_string());
            json.number("took_ms", milliseconds(slow.took));
            json.number("age_ms", milliseconds(slow.age));
            write_sql(json, Some(&slow.sql), privacy);
        });
        json.objects("databases", &self.databases, |json, database| {
            json.text("file", &database.file_name());
            json.number("connections", database.connections);
            json.optional("wal_bytes", database.wal_bytes);
        });
        // The connections are in the order of opening, so the first are those open longest.
        let shown = &self.connections[..self.connections.len().min(CONNECTIONS_MAX)];
        json.objects("connections", shown, |json, conn| write_connection(json, conn, privacy));
        json.number("connections_omitted", self.connections.len() - shown.len());
        json.objects("pools", &self.pools, write_pool);
        json.objects("provided", &self.provided, |json, stat| {
            json.text("name", stat.name);
            json.text("about", stat.about);
            json.number("value", stat.value);
            json.objects("parts", &stat.parts, |json, (name, value)| {
                json.text("name", name);
                json.number("value", value);
            });
        });
        json.object("failures", |json| {
            for (name, counts) in [("open", &self.open_failures), ("close", &self.close_failures)] {
                json.object(name, |json| counts.iter().for_each(|(code, count)| json.number(code, count)));
            }
        });
        json.object("leaks", |json| {
            json.objects("orphaned", &self.left_behind, |json, left| {
                json.number("connection", left.connection);
                json.text("opened_at", &left.opened_at.to_string());
                json.number("bytes", left.bytes);
                json.number("blocks", left.blocks);
            });
            json.object("forgotten", |json| json.kinds(&self.forgotten));
            json.objects("forgotten_last", &self.forgotten_handles, |json, handle| {
                write_forgotten(json, handle, privacy);
            });
        });
    }

    fn write_native(&self, json: &mut Json) {
        let memory = &self.memory;
        json.number("bytes", memory.bytes);
        json.number("peak_bytes", memory.peak_bytes);
        json.optional("limit_bytes", memory.limit_bytes);
        json.number("live", memory.blocks);
        json.number("allocated_bytes", memory.allocated_bytes_total);
        json.number("allocs", memory.allocations_total);
        json.number("reallocs", memory.reallocations_total);
        json.number("frees", memory.frees_total);
        json.number("failures", memory.failures_total);
        json.number("failures_oom", memory.failures_system_total);
        json.number("failures_limit", memory.failures_limit_total);
        json.number("failures_injected", memory.failures_injected_total);
        json.number("unattributed_bytes", memory.unattributed_bytes);
        json.number("shared_bytes", memory.shared_bytes);
        json.number("orphaned_bytes", memory.orphaned_bytes);
        json.numbers("hist_log2", &memory.size_histogram);
    }

    fn write_caches(&self, json: &mut Json) {
        let caches = &self.caches;
        json.number("pager_hits", caches.pager_hits);
        json.number("pager_misses", caches.pager_misses);
        json.number("pager_writes", caches.pager_writes);
        json.number("pager_spills", caches.pager_spills);
        json.number("tempbuf_spill_bytes", caches.tempbuf_spill_bytes);
        json.number("lookaside_hits", caches.lookaside_hits);
        json.number("lookaside_misses_size", caches.lookaside_misses_size);
        json.number("lookaside_misses_full", caches.lookaside_misses_full);
    }
}

impl OpenHandle {
    /// Returns the record as one JSON object, without the SQL: the form that [`Stats::to_json`] gives the children of a
    /// connection.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::handles::{self, TrackingLevel};
    ///
    /// handles::set_level(TrackingLevel::Records);
    /// let conn = finalite::Connection::open_in_memory()?;
    /// let json = handles::live().records[0].to_json();
    /// assert!(json.starts_with(r#"{"kind":"connection","id":"#) && json.contains(r#""state":"open""#));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        write(|json| write_record(json, self, Privacy::HashSql))
    }

    /// Returns the record as [`to_json`](Self::to_json) does, with the first 256 bytes of a statement's SQL.
    #[must_use]
    pub fn to_json_with_sql(&self) -> String {
        write(|json| write_record(json, self, Privacy::ShowSql))
    }
}

fn write_activity(json: &mut Json, activity: &ActivityStats) {
    json.number("executions", activity.executions);
    json.number("commits", activity.commits);
    json.number("busy", activity.busy);
    json.number("slow", activity.slow);
    json.number("lock_retries", activity.lock_retries);
    json.number("lock_retry_wait_us", activity.lock_retry_wait.as_micros());
    for (name, times) in [
        ("execution_times", &activity.execution_times),
        ("commit_times", &activity.commit_times),
        ("write_lock_times", &activity.write_lock_times),
    ] {
        json.object(name, |json| {
            json.numbers("counts", &times.counts);
            json.number("sum_us", times.sum.as_micros());
        });
    }
}

fn write_connection(json: &mut Json, conn: &ConnectionStats, privacy: Privacy) {
    json.number("id", conn.id);
    json.optional_text("name", conn.name.as_deref());
    json.text("opened_at", &conn.opened_at.to_string());
    json.number("age_ms", milliseconds(conn.age));
    json.optional_text("thread", conn.thread_name.as_deref());
    json.object("native", |json| {
        json.number("bytes", conn.memory.bytes);
        json.number("peak", conn.memory.peak_bytes);
        json.number("live", conn.memory.blocks);
    });
    match conn.figures {
        Some(figures) => json.object("db", |json| write_figures(json, figures)),
        None => json.null("db"),
    }
    let shown = &conn.children[..conn.children.len().min(CHILDREN_MAX)];
    json.objects("children", shown, |json, record| write_record(json, record, privacy));
    json.number("children_omitted", conn.children.len() - shown.len());
}

fn write_figures(json: &mut Json, figures: DbStatus) {
    json.number("cache", figures.page_cache_bytes);
    json.number("schema", figures.schema_bytes);
    json.optional("stmts", figures.statement_bytes);
    json.number("lookaside_used", figures.lookaside_slots);
    json.number("snapshot_age_ms", milliseconds(figures.age));
}

fn write_record(json: &mut Json, record: &OpenHandle, privacy: Privacy) {
    let is_statement = matches!(record.kind, HandleKind::Statement | HandleKind::CachedStatement);
    json.text("kind", record.kind.name());
    json.number("id", record.id);
    json.optional("parent", record.parent);
    json.text("opened_at", &record.opened_at.to_string());
    json.number("age_ms", milliseconds(record.age));
    json.optional_text("thread", record.thread_name.as_deref());
    json.text(
        "state",
        match record.running {
            Some(_) => "running",
            None if is_statement => "idle",
            None => "open",
        },
    );
    if let Some(running) = record.running {
        json.number("running_ms", milliseconds(running));
    }
    if is_statement {
        json.optional("mem", record.memory_bytes);
    }
    if is_statement || record.kind == HandleKind::Callback {
        json.optional("runs", record.runs);
    }
    if let Some(time) = record.run_time {
        json.number("run_time_us", time.as_micros());
    }
    write_sql(json, record.sql.as_deref(), privacy);
}

fn write_forgotten(json: &mut Json, handle: &ForgottenHandle, privacy: Privacy) {
    json.text("kind", handle.kind.name());
    json.number("connection", handle.connection);
    json.optional_text("opened_at", handle.opened_at.map(ToString::to_string).as_deref());
    write_sql(json, handle.sql.as_deref(), privacy);
}

fn write_sql(json: &mut Json, sql: Option<&str>, privacy: Privacy) {
    if let Some(sql) = sql {
        json.text("sql_hash", &sql_hash(sql));
        if privacy == Privacy::ShowSql {
            json.text("sql", sql);
        }
    }
}

/// FNV-1a hash of the SQL. It is the same in every run and every version, so that a statement can be found again later.
pub(crate) fn sql_hash(sql: &str) -> String {
    let hash = sql
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

fn write_pool(json: &mut Json, pool: &crate::pool::PoolStatus) {
    json.text("name", &pool.name);
    json.objects("roles", &pool.roles, |json, role| {
        json.text("role", role.role.name());
        json.number("size", role.size);
        json.number("idle", role.idle);
        json.number("busy", role.checked_out.len());
        json.number("waiting", role.waiting);
        json.number("acquired", role.acquired_total);
        json.number("timeouts", role.timeouts_total);
        json.number("waits", role.waits_total);
        json.number("wait_us", role.wait_total.as_micros());
        json.objects("checked_out", &role.checked_out, |json, checkout| {
            json.number("slot", checkout.slot);
            json.text("lent_at", &checkout.lent_at.to_string());
            json.number("age_ms", milliseconds(checkout.age));
            json.optional_text("thread", checkout.thread_name.as_deref());
            json.value("owned", checkout.is_owned);
        });
    });
    match pool.checkpoint {
        Some(last) => json.object("checkpoint", |json| {
            json.number("age_ms", milliseconds(last.age));
            json.number("took_us", last.took.as_micros());
            json.number("frames", last.frames);
            json.number("checkpointed", last.checkpointed);
        }),
        None => json.null("checkpoint"),
    }
    json.number("checkpoints", pool.checkpoints_total);
    json.number("checkpoints_skipped", pool.checkpoints_skipped_total);
    json.number("checkpoints_failed", pool.checkpoints_failed_total);
    json.number("opened", pool.opened_total);
    json.number("open_failures", pool.open_failures_total);
    json.object("destroyed", |json| {
        for reason in crate::pool::DestroyReason::ALL {
            json.number(reason.name(), pool.destroyed(reason));
        }
    });
}

fn milliseconds(duration: Duration) -> u128 {
    duration.as_millis()
}

fn write(content: impl FnOnce(&mut Json)) -> String {
    let mut json = Json { text: String::from("{"), is_first: true };
    content(&mut json);
    json.text.push('}');
    json.text
}

/// Writer for the members of an object.
struct Json {
    text: String,
    is_first: bool,
}

impl Json {
    fn key(&mut self, key: &str) {
        self.separate();
        self.quote(key);
        self.text.push(':');
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.text.push(',');
        }
    }

    fn quote(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.text.extend(['\\', c]),
                // U+2028 and U+2029 are line terminators for readers that evaluate JSON as JavaScript.
                '\0'..='\x1f' | '\x7f' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(self.text, "\\u{:04x}", u32::from(c));
                }
                _ => self.text.push(c),
            }
        }
        self.text.push('"');
    }

    /// Writes a value whose `Display` output is valid JSON.
    fn value(&mut self, key: &str, value: impl Display) {
        self.key(key);
        let _ = write!(self.text, "{value}");
    }

    fn number(&mut self, key: &str, number: impl Display) {
        self.value(key, number);
    }

    fn null(&mut self, key: &str) {
        self.value(key, "null");
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        self.quote(text);
    }

    fn optional(&mut self, key: &str, number: Option<u64>) {
        match number {
            Some(number) => self.number(key, number),
            None => self.null(key),
        }
    }

    fn optional_text(&mut self, key: &str, text: Option<&str>) {
        match text {
            Some(text) => self.text(key, text),
            None => self.null(key),
        }
    }

    fn within(&mut self, content: impl FnOnce(&mut Self)) {
        self.text.push('{');
        self.is_first = true;
        content(self);
        self.is_first = false;
        self.text.push('}');
    }

    fn object(&mut self, key: &str, content: impl FnOnce(&mut Self)) {
        self.key(key);
        self.within(content);
    }

    fn objects<T>(&mut self, key: &str, items: &[T], content: impl Fn(&mut Self, &T)) {
        self.key(key);
        self.text.push('[');
        self.is_first = true;
        for item in items {
            self.separate();
            self.within(|json| content(json, item));
        }
        self.is_first = false;
        self.text.push(']');
    }

    fn numbers(&mut self, key: &str, numbers: &[u64]) {
        self.key(key);
        self.text.push('[');
        for (n, number) in numbers.iter().enumerate() {
            let _ = write!(self.text, "{}{number}", if n > 0 { "," } else { "" });
        }
        self.text.push(']');
    }

    fn kinds(&mut self, counts: &HandleCounts) {
        for kind in HandleKind::ALL {
            self.number(kind.name(), counts.of(kind));
        }
    }
}
