//! Against a node that follows a script: each way in which a session can end.

mod failures;
mod interrupted;
mod limits;
mod node;
mod pool;
mod transactions;
