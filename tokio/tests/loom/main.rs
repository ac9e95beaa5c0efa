//! The hand-over of a call and the queue of calls in each order that their threads can run in.
//!
//! The modules are the crate's own, on loom's lock.

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

pub(crate) use surroundings::{control, group, sync, timekeeper, worker};
