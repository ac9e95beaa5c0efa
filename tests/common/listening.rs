//! Parts of a subscriber of events.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};

/// The methods of a subscriber that is told of no span.
macro_rules! ignores_spans {
    () => {
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    };
}
pub(crate) use ignores_spans;

/// A text, to which the fields of an event are added.
pub struct Fields(pub String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}
