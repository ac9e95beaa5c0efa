//! Figures of all sessions of the process.

use std::collections::HashMap;
use std::panic::Location;

use finalite::stats::ProvidedStat;
use finalite::workspace::PerProcess;

/// Figures of all sessions of the process, since it began, without those of a process that it was forked from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions that are open.
    pub sessions: u64,
    /// Sessions that were opened, those of a search for the leader included.
    pub sessions_opened: u64,
    /// Statements that nodes keep for these sessions.
    pub statements: u64,
    /// The places that have prepared them, with their number: the most first.
    pub statements_by_site: Vec<(String, u64)>,
    /// Statements that were leaked (`mem::forget`), and ended with their session.
    pub statements_forgotten: u64,
    /// Sessions of pools that were leaked with their guard, and ended with their pool.
    pub sessions_forgotten: u64,
    /// Bytes that were sent.
    pub bytes_sent: u64,
    /// Bytes that were received.
    pub bytes_received: u64,
    /// Changes of the leader that a search has found.
    pub leader_changes: u64,
    /// Requests that a node refused because it was not the leader.
    pub not_leader: u64,
    /// Writes of which it is unknown whether they were stored.
    pub unknown_outcomes: u64,
    /// Transactions that [`Connection::retry`](crate::Connection::retry) has begun again.
    pub retries: u64,
}

#[derive(Default)]
struct Figures {
    /// Without those of statements, which are counted by place.
    stats: Stats,
    /// Statements by the place that has prepared them.
    sites: HashMap<&'static Location<'static>, u64>,
}

/// A process that was forked has none of its parent's sessions, and counts its own.
static FIGURES: PerProcess<Figures> = PerProcess::new(Figures::default);

pub(crate) fn session_opened() {
    // From the first session on, they are in the driver's snapshot, and so on the endpoint's page and in its metrics.
    finalite::workspace::provide_stats("dqlite", provided);
    let stats = &mut FIGURES.lock().stats;
    stats.sessions += 1;
    stats.sessions_opened += 1;
}

pub(crate) fn session_closed() {
    let stats = &mut FIGURES.lock().stats;
    stats.sessions = stats.sessions.saturating_sub(1);
}

pub(crate) fn statement_prepared(site: &'static Location<'static>) {
    *FIGURES.lock().sites.entry(site).or_default() += 1;
}

pub(crate) fn statement_finalized(site: &'static Location<'static>) {
    let sites = &mut FIGURES.lock().sites;
    if let Some(count) = sites.get_mut(site) {
        *count -= 1;
        if *count == 0 {
            sites.remove(site);
        }
    }
}

pub(crate) fn forgotten(count: usize) {
    FIGURES.lock().stats.statements_forgotten += count as u64;
}

pub(crate) fn sessions_forgotten(count: usize) {
    FIGURES.lock().stats.sessions_forgotten += count as u64;
}

pub(crate) fn bytes_sent(bytes: usize) {
    FIGURES.lock().stats.bytes_sent += bytes as u64;
}

pub(crate) fn bytes_received(bytes: usize) {
    FIGURES.lock().stats.bytes_received += bytes as u64;
}

pub(crate) fn leader_changed() {
    FIGURES.lock().stats.leader_changes += 1;
}

pub(crate) fn not_leader() {
    FIGURES.lock().stats.not_leader += 1;
}

pub(crate) fn unknown() {
    FIGURES.lock().stats.unknown_outcomes += 1;
}

pub(crate) fn retried() {
    FIGURES.lock().stats.retries += 1;
}

fn provided() -> Vec<ProvidedStat> {
    let stats = snapshot();
    let mut statements =
        ProvidedStat::new("dqlite_statements", "Statements that nodes of dqlite keep", false, stats.statements);
    statements.parts = stats.statements_by_site;
    let total = |name, about, value| ProvidedStat::new(name, about, true, value);
    vec![
        ProvidedStat::new("dqlite_sessions", "Sessions with nodes of dqlite", false, stats.sessions),
        statements,
        total("dqlite_sessions_opened", "Sessions with nodes of dqlite opened", stats.sessions_opened),
        total("dqlite_statements_forgotten", "Statements of dqlite that were leaked", stats.statements_forgotten),
        total("dqlite_sessions_forgotten", "Sessions of dqlite that were leaked", stats.sessions_forgotten),
        total("dqlite_sent_bytes", "Bytes sent to nodes of dqlite", stats.bytes_sent),
        total("dqlite_received_bytes", "Bytes received from nodes of dqlite", stats.bytes_received),
        total("dqlite_leader_changes", "Changes of the leader of dqlite that were found", stats.leader_changes),
        total("dqlite_not_leader", "Requests to nodes of dqlite that were not the leader", stats.not_leader),
        total("dqlite_unknown_outcomes", "Writes to dqlite of which the outcome is unknown", stats.unknown_outcomes),
        total("dqlite_retries", "Transactions of dqlite that were begun again", stats.retries),
    ]
}

/// Returns the figures of now. Those of a call that is under way in another thread may be counted in part.
#[must_use]
pub fn snapshot() -> Stats {
    let (stats, mut by_site) = {
        let figures = FIGURES.lock();
        let by_site: Vec<_> = figures.sites.iter().map(|(site, count)| (site.to_string(), *count)).collect();
        (figures.stats.clone(), by_site)
    };
    by_site.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Stats { statements: by_site.iter().map(|(_, count)| count).sum(), statements_by_site: by_site, ..stats }
}
