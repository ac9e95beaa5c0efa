//! Against three nodes of dqlite. `.ci/dqlite.sh` installs and names their program; without it, each test returns at once.

#![cfg(unix)]

mod differential;
mod failover;
mod nodes;
mod statements;

use nodes::Nodes;

/// Runs a test with a cluster, if there is a program for its nodes.
fn with_nodes(test: impl FnOnce(&mut Nodes)) {
    let Some(program) = nodes::program() else {
        eprintln!("no nodes: see .ci/dqlite.sh");
        return;
    };
    let mut nodes = Nodes::start(&program);
    test(&mut nodes);
}
