//! A subscriber of events that panics.

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Panics at each event of these targets; without any, at each event.
pub struct Panicking(pub &'static [&'static str]);

impl Subscriber for Panicking {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.is_empty() || self.0.contains(&metadata.target())
    }

    fn event(&self, event: &Event<'_>) {
        panic!("a subscriber's own panic at {}", event.metadata().target());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
