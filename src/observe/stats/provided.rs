//! Figures of other crates, for one snapshot, one page and one collector of all.

use crate::track::PerProcess;

/// A figure that another crate provides, such as the sessions of `finalite-dqlite`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvidedStat {
    /// Name, with the unit at its end if it has one, such as `dqlite_sessions`.
    pub name: &'static str,
    /// Description, without a full stop.
    pub about: &'static str,
    /// Whether it only grows.
    pub is_total: bool,
    /// Number, or the sum of the parts.
    pub value: u64,
    /// Parts by an unbounded set of names, such as places in the source.
    pub parts: Vec<(String, u64)>,
}

impl ProvidedStat {
    /// Returns a figure without parts.
    #[must_use]
    pub const fn new(name: &'static str, about: &'static str, is_total: bool, value: u64) -> Self {
        Self { name, about, is_total, value, parts: Vec::new() }
    }
}

type Provider = fn() -> Vec<ProvidedStat>;

static PROVIDERS: PerProcess<Vec<(&'static str, Provider)>> = PerProcess::new(Vec::new);

/// Adds the figures of a crate to each later snapshot, once for each name.
pub(crate) fn provide(name: &'static str, provider: Provider) {
    let mut providers = PROVIDERS.lock();
    if !providers.iter().any(|(known, _)| *known == name) {
        providers.push((name, provider));
    }
}

pub(super) fn provided() -> Vec<ProvidedStat> {
    // The providers run without the lock: they are code of another crate.
    let providers = PROVIDERS.lock().clone();
    providers.into_iter().flat_map(|(_, provider)| provider()).collect()
}
