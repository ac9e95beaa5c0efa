//! The hand-over of a call and the queue of calls in each order that their threads can run in.
//!
//! `handover.rs`, `queue.rs` and `wakes.rs` are the crate's own, on loom's lock. What they refer to is not: `surroundings.rs`
//! has a `Control` whose sleep is a condition variable in place of `thread::park`, that never spins and is told
//! whether its calls are quick, a `Limit` that nobody keeps, and no statements that share a transaction. These models therefore say nothing of the
//! thread that keeps limits and kept wake-ups, of short waits, of the starts and joins of a lane, nor of SQLite. The queue
//! is tried in the orders with at most two preemptions, the hand-over in all.

#[path = "../../src/handover.rs"]
#[allow(dead_code)]
mod handover;
#[path = "../../src/queue.rs"]
#[allow(dead_code)]
mod queue;
#[path = "../../src/wakes.rs"]
#[allow(dead_code)]
mod wakes;

mod calls;
mod surroundings;
mod workers;

pub(crate) use surroundings::{control, group, shared, sync, timekeeper, worker};
