//! A subscriber of events that panics.

use super::listening::ignores_spans;
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

    ignores_spans!();
}
