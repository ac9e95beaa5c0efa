//! Memory that is still charged to closed connections.

use crate::raw::allocator;
use crate::track::{HandleKind, counts, shielded};

/// Logs the memory still charged to closed connections, when the last connection has closed. It is leaked: with no
/// connection open, none can share it.
pub(crate) fn report_orphans() {
    if counts::opened_total(HandleKind::Connection) > counts::closed_total(HandleKind::Connection) {
        return;
    }
    for left in allocator::lingering_unreported() {
        shielded(|| {
            tracing::error!(
                target: "finalite::leak",
                connection = left.connection,
                opened_at = %left.site,
                bytes = left.memory.bytes,
                blocks = left.memory.blocks,
                "memory of a closed connection is not freed, and no connection is open any more",
            );
        });
    }
}
