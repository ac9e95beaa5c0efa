//! What is told of handles.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use finalite::handles::OpenHandle;

use super::records;
use crate::common::listening::{Fields, ignores_spans};

/// Listens to every event: keeps those about leaks, and may list the handles at each of the others, so that also those
/// are seen that live within a call.
#[derive(Clone, Default)]
pub struct Log {
    entries: Arc<Mutex<Entries>>,
    is_looking: bool,
}

#[derive(Default)]
pub struct Entries {
    pub leaks: Vec<String>,
    pub seen: BTreeMap<u64, OpenHandle>,
}

impl Log {
    pub fn during<T>(work: impl FnOnce() -> T) -> (T, Entries) {
        let log = Self { is_looking: true, ..Self::default() };
        let result = tracing::subscriber::with_default(log.clone(), work);
        let entries = std::mem::take(&mut *log.entries.lock().unwrap());
        (result, entries)
    }

    /// The warnings and errors about leaks so far, taken.
    pub fn take_leaks(&self) -> Vec<String> {
        std::mem::take(&mut self.entries.lock().unwrap().leaks)
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &tracing::Event<'_>) {
        if event.metadata().target() == "finalite::leak" {
            let mut text = Fields(event.metadata().level().to_string());
            event.record(&mut text);
            self.entries.lock().unwrap().leaks.push(text.0);
        } else if self.is_looking {
            let records = records();
            self.entries.lock().unwrap().seen.extend(records.into_iter().map(|record| (record.id, record)));
        }
    }

    ignores_spans!();
}
