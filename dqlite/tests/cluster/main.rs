//! Against three nodes of dqlite. `.ci/dqlite.sh` installs their program, and runs these tests, which are ignored otherwise.

#![cfg(unix)]

mod differential;
mod failover;
mod nodes;
mod statements;

use nodes::Nodes;

/// Runs a test with a cluster.
fn with_nodes(test: impl FnOnce(&mut Nodes)) {
    test(&mut Nodes::start(&nodes::program()));
}
